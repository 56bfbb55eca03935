//! Keys of advisory locks: who does what alone, see
//! <https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS>. Here together, so that no two
//! are the same.

/// Among those who change units on hand: single changes share it, an import has it alone, so that no product
/// becomes known behind its back. The service never takes it.
pub(super) const OPERATORS: i64 = 0x1517_0c4b;

/// The one replica that publishes events in order.
pub(super) const IN_ORDER: i64 = 0x1517_0c4c;

/// The one replica that sweeps lapsed holds.
pub(super) const SWEEP: i64 = 0x1517_0c4d;

/// The one operator who repairs.
pub(super) const REPAIR: i64 = 0x1517_0c4e;

/// The one replica that drops what is past its retention.
pub(super) const RETENTION: i64 = 0x1517_0c4f;
