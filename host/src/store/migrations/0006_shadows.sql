-- The revision that is tried beside the active one, and since when; 0 is none.
ALTER TABLE modules ADD COLUMN shadow BIGINT NOT NULL DEFAULT 0;
ALTER TABLE modules ADD COLUMN shadow_since BIGINT NOT NULL DEFAULT 0;

-- Those that have one are few among many.
CREATE INDEX modules_with_shadow ON modules (tenant, name) WHERE shadow > 0;

-- What candidates would have decided beside decisions that stand, by pairs of these in
-- words. Where the candidate was not asked, "would" is 'not-run' and all else empty. They
-- are of the candidate that is tried, or was tried last, and begin anew with the next one.
CREATE TABLE shadow_counts (
    tenant TEXT NOT NULL,
    module TEXT NOT NULL,
    candidate TEXT NOT NULL,
    active TEXT NOT NULL,
    was TEXT NOT NULL,
    was_verdict TEXT NOT NULL,
    would TEXT NOT NULL,
    would_verdict TEXT NOT NULL,
    agrees BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    PRIMARY KEY (tenant, module, candidate, active, was, was_verdict, would, would_verdict, agrees),
    FOREIGN KEY (tenant, module) REFERENCES modules (tenant, name) ON DELETE CASCADE
);

-- Whose mail would have had another verdict: how often, by domain of the sender.
CREATE TABLE shadow_senders (
    tenant TEXT NOT NULL,
    module TEXT NOT NULL,
    candidate TEXT NOT NULL,
    active TEXT NOT NULL,
    domain TEXT NOT NULL,
    was_verdict TEXT NOT NULL,
    would_verdict TEXT NOT NULL,
    decisions BIGINT NOT NULL,
    PRIMARY KEY (tenant, module, candidate, active, domain, was_verdict, would_verdict),
    FOREIGN KEY (tenant, module) REFERENCES modules (tenant, name) ON DELETE CASCADE
);

-- Some of those that differ, with the candidate's answer as JSON. They go with their
-- receipts.
CREATE TABLE shadow_samples (
    receipt TEXT NOT NULL REFERENCES receipts (id) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    tenant TEXT NOT NULL,
    module TEXT NOT NULL,
    candidate TEXT NOT NULL,
    active TEXT NOT NULL,
    was TEXT NOT NULL,
    was_verdict TEXT NOT NULL,
    would TEXT NOT NULL,
    would_verdict TEXT NOT NULL,
    answer TEXT NOT NULL,
    PRIMARY KEY (receipt, stage, module, candidate),
    FOREIGN KEY (tenant, module) REFERENCES modules (tenant, name) ON DELETE CASCADE
);

CREATE INDEX shadow_samples_by_pair ON shadow_samples
    (tenant, module, candidate, active, was, was_verdict, would, would_verdict);

-- How many of these events each writer has written: one that does not know what became of
-- what it wrote last counts nothing twice.
CREATE TABLE shadow_writers (
    id TEXT NOT NULL PRIMARY KEY,
    events BIGINT NOT NULL
);
