# The production image: `docker build -t matrica-starter .`
# With the demo provider, for docker-compose.yml: `docker build --target demo -t matrica-starter-demo .`
#
# A tag can change under us. To pin it, copy the base image to a registry of your own, look up its digest
# (`docker buildx imagetools inspect <image>`), and write it into the first FROM:
#   FROM registry.example/rust:1.95-bookworm@sha256:<digest> AS dependencies

# Dependencies alone, so that a change of our code does not build them again.
FROM rust:1.95-bookworm AS dependencies
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --no-default-features

# Our code, and in /image all of the final image but the program.
FROM dependencies AS source
COPY build.rs ./
COPY .sqlx .sqlx
COPY migrations migrations
COPY templates templates
COPY src src
# Cargo compares times, and the stand-ins of the first stage are newer than the real files.
# Without nsswitch.conf glibc asks DNS before /etc/hosts, and believes a DNS server that does not know localhost.
RUN touch src/main.rs src/lib.rs \
    && mkdir -p /image/etc/ssl/certs \
    && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && install -d -o 10001 -g 10001 -m 0700 /image/keys

# The program is copied with the shared libraries that it names, at the paths where the loader looks for them.
FROM source AS build-demo
RUN cargo build --release --locked \
    && install -m 0555 target/release/matrica-starter /image/ \
    && cp --parents --dereference $(ldd /image/matrica-starter | grep -o '/[^ ]*') /image

FROM source AS build
RUN cargo build --release --locked --no-default-features \
    && install -m 0555 target/release/matrica-starter /image/ \
    && cp --parents --dereference $(ldd /image/matrica-starter | grep -o '/[^ ]*') /image

# For docker compose: the same program with the stand-in for Matrica in it.
FROM scratch AS demo
COPY --from=build-demo /image /
USER 10001:10001
EXPOSE 3001
ENTRYPOINT ["/matrica-starter"]
CMD ["demo-provider", "--listen-addr", "0.0.0.0:3001"]

# Last, so that a plain `docker build .` makes it. No shell, nothing that its user may write to but /keys.
FROM scratch
COPY --from=build /image /
USER 10001:10001
ENV LISTEN_ADDR=0.0.0.0:3000
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["/matrica-starter", "healthcheck"]
ENTRYPOINT ["/matrica-starter"]
CMD ["serve"]
