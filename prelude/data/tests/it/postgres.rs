//! `read_sql` against a real PostgreSQL server, started for the test from Debian's package
//! `postgresql`, which `cargo xtask test` installs.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oxilab_data::read_sql;

/// A server in a folder of its own; stopped when dropped.
struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
}

/// The folder of `initdb` and `pg_ctl`: the newest of Debian's, or the one in `PATH`.
fn programs() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = debian.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders
        .into_iter()
        .rev()
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists())
        .expect("PostgreSQL is not installed: apt-get install postgresql")
}

/// PostgreSQL refuses to run as root, so root becomes `postgres`.
fn command(programs: &Path, name: &str) -> Command {
    let program = programs.join(name);
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|data| std::os::unix::fs::MetadataExt::uid(&data) == 0);
    if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

impl Server {
    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = folder.path().join("data");
        let run = |command: &mut Command| {
            let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(command(&programs, "initdb").arg("-D").arg(&data).args([
            "-U",
            "tester",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        ]));
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        );
        let log = folder.path().join("log");
        // The server inherits its output, and a pipe would never end.
        let status = command(&programs, "pg_ctl")
            .current_dir("/")
            .arg("-D")
            .arg(&data)
            .arg("-l")
            .arg(&log)
            .args(["-w", "-t", "60", "-o", &options, "start"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{}", std::fs::read_to_string(&log).unwrap_or_default());
        Self { folder, programs, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        let mut stop = command(&self.programs, "pg_ctl");
        let stopped =
            stop.current_dir("/").arg("-D").arg(data).args(["-m", "immediate", "stop"]).output();
        assert!(stopped.is_ok_and(|output| output.status.success()), "the server did not stop");
    }
}

#[test]
fn a_real_server_answers_with_typed_columns() {
    let server = Server::start();
    let url = format!("postgres://tester:secret@127.0.0.1:{}/postgres", server.port);
    let df = read_sql(
        &url,
        "select * from (values
            (1::int8, 1.5::float8, 'Zoë', true, date '2024-01-31', timestamp '2024-01-31 12:30:00', 2.25::numeric),
            (2, null, null, false, date '2024-02-01', timestamp '2024-02-01 00:00:00.25', 3)
         ) as t(id, price, name, ok, day, at, exact) order by id",
    )
    .unwrap();
    let types: Vec<String> = df.dtypes().iter().map(ToString::to_string).collect();
    assert_eq!(types, ["i64", "f64", "str", "bool", "date", "datetime[μs]", "f64"]);
    assert_eq!(df.height(), 2);
    assert_eq!(df.column("name").unwrap().str().unwrap().get(0), Some("Zoë"));
    assert_eq!(df.column("price").unwrap().null_count(), 1);
    assert_eq!(df.column("exact").unwrap().f64().unwrap().get(0), Some(2.25));
    let empty = read_sql(&url, "select 1::int4 as one where false").unwrap();
    assert_eq!(
        (empty.height(), empty.column("one").unwrap().dtype().to_string()),
        (0, "i64".to_owned())
    );
    let error = read_sql(&url, "select nope from nowhere").unwrap_err().to_string();
    assert!(error.contains("relation \"nowhere\" does not exist"), "{error}");
    assert!(!error.contains("secret"), "{error}");
    assert!(error.contains("(line 1, column 18)"), "{error}");
    let error = read_sql(&url, "\nselect 1\nfromm x").unwrap_err().to_string();
    assert!(error.contains("syntax error") && error.contains("(line 3, column 7)"), "{error}");

    // Statements without rows, and types that come as text.
    let made =
        read_sql(&url, "create table t as select i, array[i] as list from generate_series(1, 3) i");
    assert_eq!(made.unwrap().column("rows_affected").unwrap().u64().unwrap().get(0), Some(3));
    let df = read_sql(&url, "select list, '{\"a\": 1}'::json as j, null::int as n from t").unwrap();
    assert_eq!(df.column("list").unwrap().str().unwrap().get(2), Some("{3}"));
    assert_eq!(df.column("n").unwrap().null_count(), 3);
}
