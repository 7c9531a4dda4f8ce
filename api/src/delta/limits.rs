//! Limits of the Delta store: memory, threads, rows.

/// Limits of the Delta store. The command line uses these defaults, but for `refresh_ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeltaLimits {
    /// How often the logs are polled for a new version, in milliseconds. Default: 2000.
    pub refresh_ms: u64,
    /// Bytes of hotspots, flows and session counts cached in memory. Default: 512 MiB. Beyond it the oldest days of
    /// hotspots and flows are read from files, which is slower; session counts are always cached.
    pub held_bytes_max: usize,
    /// Threads that run queries. Default: one less than the machine has, at least one.
    pub query_threads: usize,
    /// Queries that run at once. Default: 4.
    pub queries_max: usize,
    /// Queries that wait for a permit; one more is refused as busy. Default: 64.
    pub queries_waiting_max: usize,
    /// Memory of all queries, in bytes. Default: 512 MiB. Beyond it they spill to disk or are refused.
    pub query_memory_bytes_max: usize,
    /// Disk that queries may spill to, in bytes, in the system's folder for temporary files. Default: 4 GiB.
    pub query_spill_bytes_max: u64,
    /// Rows that a query may return; a query with more is refused. Default: 1_000_000.
    pub query_rows_max: usize,
    /// Parquet footers and page indexes cached, in bytes. Default: 128 MiB.
    pub metadata_cache_bytes_max: usize,
}

impl Default for DeltaLimits {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            refresh_ms: 2000,
            held_bytes_max: 512 << 20,
            query_threads: threads.saturating_sub(1).max(1),
            queries_max: 4,
            queries_waiting_max: 64,
            query_memory_bytes_max: 512 << 20,
            query_spill_bytes_max: 4 << 30,
            query_rows_max: 1_000_000,
            metadata_cache_bytes_max: 128 << 20,
        }
    }
}
