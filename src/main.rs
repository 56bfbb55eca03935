//! `inventory`: see `inventory --help`.

fn main() -> std::process::ExitCode {
    inventory_service::cli::main()
}
