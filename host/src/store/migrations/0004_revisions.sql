-- What becomes of a revision between its upload and its activation. Of one that was
-- refused only digest and size are kept.
CREATE TABLE kept_revisions (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    size BIGINT NOT NULL,
    content TEXT REFERENCES module_contents (digest),
    state TEXT NOT NULL,
    reason TEXT,
    made BIGINT NOT NULL,
    who TEXT NOT NULL,
    PRIMARY KEY (tenant, name, number),
    FOREIGN KEY (tenant, name) REFERENCES modules (tenant, name) ON DELETE CASCADE
);

INSERT INTO kept_revisions
SELECT r.tenant, r.name, r.number, r.content, c.size, r.content, 'ready', NULL, r.made, r.who
FROM module_revisions r JOIN module_contents c ON c.digest = r.content;

DROP TABLE module_revisions;

ALTER TABLE kept_revisions RENAME TO module_revisions;

CREATE INDEX module_revisions_by_content ON module_revisions (content);

-- Those that wait for the engine are few among many.
CREATE INDEX module_revisions_by_state ON module_revisions (state, tenant);

-- The revision to which a module is rolled back. Here and in `active` none is 0.
ALTER TABLE modules ADD COLUMN previous BIGINT NOT NULL DEFAULT 0;

-- The number that was given last: none is given twice.
ALTER TABLE modules ADD COLUMN newest BIGINT NOT NULL DEFAULT 0;

UPDATE modules SET newest = (
    SELECT COALESCE(MAX(r.number), 0) FROM module_revisions r
    WHERE r.tenant = modules.tenant AND r.name = modules.name
);
