//! The command line of NetCrab.

mod commands;

use std::ffi::{c_int, c_long};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use commands::context::Context;
use netcrab_pipeline::config::Config;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Finds friction in product behaviour: events in, sessions, incidents, worst screens and flows out.
#[derive(Debug, Parser)]
#[command(name = "netcrab", version, arg_required_else_help = true)]
struct Cli {
    /// Settings file; `./netcrab.toml` where it exists. NETCRAB_SECTION__KEY in the environment overrides it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// Print only results and errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn files of events into tables.
    Run(commands::run::Arguments),
    /// Recompute days after a rule changed, and report what changed.
    Rerun(commands::rerun::Arguments),
    /// Query the tables with SQL.
    Sql(commands::sql::Arguments),
    /// Run without writing, and show each operator with rows, time and memory.
    Explain(commands::explain::Arguments),
    /// Write seeded, realistic traffic.
    Generate(commands::generate::Arguments),
    /// Take events over HTTP onto the bus.
    Ingest(commands::ingest::Arguments),
    /// Turn events from the bus into tables, continuously.
    Process(commands::process::Arguments),
    /// Show the position of each shard of a stream.
    Status(commands::status::Arguments),
    /// Repair a stream that does not run.
    Stream(commands::stream::Arguments),
    /// Remove files that no table references.
    Vacuum(commands::vacuum::Arguments),
    /// Copy the tables into an empty ClickHouse.
    Backfill(commands::backfill::Arguments),
    /// Compare the tables with those in ClickHouse.
    Verify(commands::verify::Arguments),
    /// Benchmarks across organisations: define, plan, build, verify.
    Packs(commands::packs::Arguments),
    /// Serve the API over the tables.
    Serve(commands::serve::Arguments),
    /// Generate a month, run the chain, show the worst screens, serve the API.
    Demo(commands::demo::Arguments),
    /// Print every setting with its default.
    Config,
    /// Print the script with which a shell completes commands and options.
    Completions(commands::completions::Arguments),
}

/// Panics that are none of the program: the reader of standard output has gone, as in `netcrab sql … | head`, or Ctrl-C
/// cuts off the tasks of a library.
fn quiet_ends() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>();
        if said.is_some_and(|said| said.starts_with("failed printing to std") && said.contains("Broken pipe")) {
            std::process::exit(0);
        }
        if !commands::is_interrupted() {
            hook(panic);
        }
    }));
}

fn main() -> ExitCode {
    quiet_ends();
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,buoyant_kernel=off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match start(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", commands::chain_of(&error));
            ExitCode::FAILURE
        }
    }
}

/// Keeps freed memory for later stages of a run. Returned to the system, it would be zeroed and mapped again many times
/// in a run. A server returns it, for its load comes and goes.
#[expect(unsafe_code, reason = "mimalloc's options are set in C; no other thread runs yet")]
fn keep_freed_memory() {
    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
        fn mi_option_set(option: c_int, value: c_long);
    }
    /// `mi_option_purge_delay`, in ms; negative means never.
    const PURGE_DELAY: c_int = 15;
    const DEFAULT: c_long = 1000;
    // SAFETY: both take any option and only read or write its value.
    unsafe {
        // Another value was set in the environment, or belongs to another version's option.
        if mi_option_get(PURGE_DELAY) == DEFAULT {
            mi_option_set(PURGE_DELAY, -1);
        }
    }
}

fn start(cli: Cli) -> anyhow::Result<ExitCode> {
    if matches!(cli.command, Command::Run(_) | Command::Rerun(_) | Command::Explain(_)) {
        keep_freed_memory();
    }
    if matches!(cli.command, Command::Config) {
        print!("{}", netcrab_pipeline::config::EXAMPLE);
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Completions(arguments) = &cli.command {
        return commands::completions::run(Cli::command(), arguments);
    }
    let config = Config::load(cli.config.as_deref())?;
    let threads = config.run.threads();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let context = Context { config, config_file: cli.config, json: cli.json, quiet: cli.quiet };
    runtime.block_on(async {
        match cli.command {
            Command::Run(arguments) => commands::run::run(&context, arguments).await,
            Command::Rerun(arguments) => commands::rerun::run(&context, arguments).await,
            Command::Sql(arguments) => commands::sql::run(&context, arguments).await,
            Command::Explain(arguments) => commands::explain::run(&context, arguments).await,
            Command::Generate(arguments) => commands::generate::run(&context, arguments),
            Command::Ingest(arguments) => commands::ingest::run(&context, arguments).await,
            Command::Process(arguments) => commands::process::run(&context, arguments).await,
            Command::Status(arguments) => commands::status::run(&context, arguments).await,
            Command::Stream(arguments) => commands::stream::run(&context, arguments).await,
            Command::Vacuum(arguments) => commands::vacuum::run(&context, arguments).await,
            Command::Backfill(arguments) => commands::backfill::run(&context, arguments).await,
            Command::Verify(arguments) => commands::verify::run(&context, arguments).await,
            Command::Packs(arguments) => commands::packs::run(&context, arguments).await,
            Command::Serve(arguments) => commands::serve::run(&context, arguments).await,
            Command::Demo(arguments) => commands::demo::run(&context, arguments).await,
            Command::Config | Command::Completions(_) => Ok(ExitCode::SUCCESS),
        }
    })
}
