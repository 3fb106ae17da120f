//! Reads the command line and calls one function per subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use matrica_starter::commands::{doctor, explain, healthcheck, jobs, keys, migrate, serve};

/// The backend of an app that signs people in with Matrica.
#[derive(Parser)]
#[command(
    version,
    after_help = "Settings come from the environment; docs/configuration.md lists them."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the production server. It applies no migration
    Serve {
        /// Only check the configuration, list every mistake, and exit
        #[arg(long)]
        check: bool,
    },
    /// Apply missing database migrations
    Migrate,
    /// Ask the local server whether it is ready, for health checks of containers
    Healthcheck {
        /// Address of the server [default: `LISTEN_ADDR`, else `PORT`, else 127.0.0.1:3000]
        #[arg(long)]
        listen_addr: Option<SocketAddr>,
        /// Only ask whether the process is alive, also while the database is away
        #[arg(long)]
        live: bool,
    },
    /// Check the configuration, the provider and the database, and say what to change. Fails if
    /// something must be fixed
    Doctor {
        /// Print a list of objects with `check`, `ok`, `detail` and `remedy`
        #[arg(long)]
        json: bool,
        /// Find out how the provider behaves, with two to four sign-ins by hand. Stop `serve` first
        #[arg(long)]
        provider: bool,
    },
    /// Say why a sign-in failed
    Explain {
        /// The reference on the error page, or the name of a refusal in the log
        #[arg(value_name = "REFERENCE")]
        what: String,
    },
    /// Manage the keys that seal tokens
    #[command(subcommand)]
    Keys(Keys),
    /// Background work with stored tokens
    #[command(subcommand)]
    Jobs(Jobs),
    /// Run the app with a private Postgres, the demo provider and all migrations. Settings in the
    /// environment win, `DATABASE_URL` included
    #[cfg(feature = "dev")]
    Dev(matrica_starter::dev::Options),
    /// Run only the stand-in for Matrica
    #[cfg(feature = "dev")]
    DemoProvider(matrica_starter::dev::DemoProviderOptions),
}

#[derive(Subcommand)]
enum Keys {
    /// Make a new key that seals tokens, and print it as an entry of `TOKEN_KEYS`
    Generate {
        /// Name of the key, stored with every token that it seals
        #[arg(long, default_value = "k1")]
        id: String,
        /// Write it to this file instead, readable by its owner only. An existing file is kept
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Count the stored tokens of each key. Fails if a key is missing or wrong
    Status,
    /// Seal every grant anew by the first key of `TOKEN_KEYS`, while servers run. Can be stopped
    Rotate,
    /// Say whether a key can be taken out of `TOKEN_KEYS`. Fails while a stored token needs it
    Check {
        /// Name of the key
        id: String,
    },
}

#[derive(Subcommand)]
enum Jobs {
    /// Do one job now for everybody, while servers run. Can be stopped
    Run {
        /// Name of the job
        name: String,
    },
    /// Count people, turns that are due, and failures of each job
    Status,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve { check: true } => serve::check(),
        Command::Serve { check: false } => serve::serve(),
        Command::Migrate => migrate::migrate(),
        Command::Healthcheck { listen_addr, live } => healthcheck::healthcheck(listen_addr, live),
        Command::Doctor { json, provider } => doctor::doctor(json, provider),
        Command::Explain { what } => explain::explain(&what),
        Command::Keys(Keys::Generate { id, out }) => keys::generate(&id, out.as_deref()),
        Command::Keys(Keys::Status) => keys::status(),
        Command::Keys(Keys::Rotate) => keys::rotate(),
        Command::Keys(Keys::Check { id }) => keys::check(&id),
        Command::Jobs(Jobs::Run { name }) => jobs::run(&name),
        Command::Jobs(Jobs::Status) => jobs::status(),
        #[cfg(feature = "dev")]
        Command::Dev(options) => matrica_starter::dev::dev(&options),
        #[cfg(feature = "dev")]
        Command::DemoProvider(options) => matrica_starter::dev::demo_provider(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("matrica-starter: {error:#}");
            ExitCode::FAILURE
        }
    }
}
