# `docker build -t matrica-starter .` builds the production image.
# `docker build --target demo -t matrica-starter-demo .` adds the demo provider for docker-compose.yml.
#
# A tag can change. To pin it, copy the base image to a registry of your own, look up its digest
# (`docker buildx imagetools inspect <image>`), and write it into the first FROM:
#   FROM registry.example/rust:1.95.0-bookworm@sha256:<digest> AS dependencies
# postgres:17 in docker-compose.yml is pinned the same way.

# Dependencies only, so that a change of our code does not rebuild them.
FROM rust:1.95.0-bookworm AS dependencies
# Writes the list of libraries into the program, so that `cargo audit bin` can check an image that runs already.
RUN cargo install --locked --version 0.7.7 cargo-auditable
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --no-default-features

# Our code. /image holds the final image without the program.
FROM dependencies AS source
COPY build.rs ./
COPY .sqlx .sqlx
COPY migrations migrations
COPY templates templates
COPY src src
# Cargo compares modification times, and the placeholders of the first stage are newer than our files.
# Without nsswitch.conf glibc asks DNS before /etc/hosts, and DNS may not know localhost.
RUN touch src/main.rs src/lib.rs \
    && mkdir -p /image/etc/ssl/certs \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && install -d -o 10001 -g 10001 -m 0700 /image/keys

# Copies the program with its shared libraries, at the paths where the loader looks for them.
FROM source AS build-demo
RUN cargo auditable build --release --locked \
    && install -m 0555 target/release/matrica-starter /image/ \
    && cp --parents --dereference $(ldd /image/matrica-starter | grep -o '/[^ ]*') /image

FROM source AS build
RUN cargo auditable build --release --locked --no-default-features \
    && install -m 0555 target/release/matrica-starter /image/ \
    && cp --parents --dereference $(ldd /image/matrica-starter | grep -o '/[^ ]*') /image

# For docker compose. The same program with the demo provider.
FROM scratch AS demo
COPY --from=build-demo /image /
USER 10001:10001
EXPOSE 3001
ENTRYPOINT ["/matrica-starter"]
CMD ["demo-provider", "--listen-addr", "0.0.0.0:3001"]

# Last, so that a plain `docker build .` builds it. It has no shell, and its user may write to /keys only.
FROM scratch
COPY --from=build /image /
USER 10001:10001
ENV PORT=3000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/matrica-starter", "healthcheck", "--live"]
ENTRYPOINT ["/matrica-starter"]
CMD ["serve"]
