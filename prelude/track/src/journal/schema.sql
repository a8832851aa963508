-- The journal's tables. `seq` numbers records as they come: a tag that changes gets a new number.
CREATE TABLE IF NOT EXISTS experiments(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS runs(id TEXT PRIMARY KEY, experiment TEXT NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, start_time INTEGER NOT NULL, end_time INTEGER);
CREATE TABLE IF NOT EXISTS params(seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,
    key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(run, key));
CREATE TABLE IF NOT EXISTS metrics(seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,
    key TEXT NOT NULL, value REAL, step INTEGER NOT NULL, timestamp INTEGER NOT NULL);
-- One record of equal key, step, value and time: MLflow's stores keep no more. NaN is null here.
CREATE UNIQUE INDEX IF NOT EXISTS metrics_once
    ON metrics(run, key, step, COALESCE(value, 'NaN'), timestamp);
DROP INDEX IF EXISTS metrics_of_run;
CREATE TABLE IF NOT EXISTS tags(seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,
    key TEXT NOT NULL, value TEXT NOT NULL, UNIQUE(run, key));
CREATE TABLE IF NOT EXISTS artifacts(seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,
    path TEXT NOT NULL, size INTEGER NOT NULL, UNIQUE(run, path));
CREATE TABLE IF NOT EXISTS inputs(seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL,
    name TEXT NOT NULL, digest TEXT NOT NULL, context TEXT NOT NULL, source TEXT NOT NULL,
    schema TEXT NOT NULL, rows INTEGER NOT NULL, UNIQUE(run, name, digest, context));
CREATE TABLE IF NOT EXISTS versions(name TEXT NOT NULL, version INTEGER NOT NULL, run TEXT NOT NULL,
    source TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY(name, version));
CREATE TABLE IF NOT EXISTS aliases(name TEXT NOT NULL, alias TEXT NOT NULL,
    version INTEGER NOT NULL, PRIMARY KEY(name, alias));
CREATE TABLE IF NOT EXISTS model_tags(name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY(name, key));
CREATE TABLE IF NOT EXISTS version_tags(name TEXT NOT NULL, version INTEGER NOT NULL,
    key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY(name, version, key));
-- Version 0 is the model itself.
CREATE TABLE IF NOT EXISTS descriptions(name TEXT NOT NULL, version INTEGER NOT NULL,
    text TEXT NOT NULL, PRIMARY KEY(name, version));
CREATE TABLE IF NOT EXISTS sent_versions(name TEXT NOT NULL, version INTEGER NOT NULL,
    server TEXT NOT NULL, remote INTEGER NOT NULL, PRIMARY KEY(name, version, server));
-- `unsure` is set while a batch is under way: whether the server has it is found out when it stays set.
CREATE TABLE IF NOT EXISTS sent(run TEXT NOT NULL, server TEXT NOT NULL, remote TEXT NOT NULL,
    params INTEGER NOT NULL DEFAULT 0, metrics INTEGER NOT NULL DEFAULT 0,
    tags INTEGER NOT NULL DEFAULT 0, artifacts INTEGER NOT NULL DEFAULT 0,
    inputs INTEGER NOT NULL DEFAULT 0, unsure INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL DEFAULT '', PRIMARY KEY(run, server));
CREATE INDEX IF NOT EXISTS metrics_by_run ON metrics(run);
