//! What the store keeps, one step for each version that changed it.
//!
//! **A step is never edited once it was released**: the next one changes what it made.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Every step, the oldest first.
const STEPS: [(i64, &str, &str); 7] = [
    (1, "tenants", include_str!("migrations/0001_tenants.sql")),
    (2, "tokens", include_str!("migrations/0002_tokens.sql")),
    (3, "receipts", include_str!("migrations/0003_receipts.sql")),
    (
        4,
        "revisions",
        include_str!("migrations/0004_revisions.sql"),
    ),
    (5, "webhooks", include_str!("migrations/0005_webhooks.sql")),
    (6, "shadows", include_str!("migrations/0006_shadows.sql")),
    (
        7,
        "monitored",
        include_str!("migrations/0007_monitored.sql"),
    ),
];

/// The version of the schema that this host knows.
pub(super) const KNOWN: i64 = STEPS[STEPS.len() - 1].0;

/// Brings a database to that version.
pub(super) fn migrator() -> Migrator {
    let steps = STEPS.map(|(version, name, sql)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    Migrator::with_migrations(steps.into())
}
