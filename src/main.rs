//! `inventory`: see `inventory --help`.

/// Messages are made on the client's threads and freed on the runtime's: the system's allocator takes a fifth of the
/// service's time for that. (mimalloc is as fast, and keeps twice the memory.)
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    inventory_service::cli::main()
}
