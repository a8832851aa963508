//! Files of every kind, good and bad.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use oxilab_data::{ReadOptions, read, read_images, read_sql, read_with, scan, write};
use polars::prelude::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}

fn frame() -> DataFrame {
    df!("a" => [1_i64, 2], "b" => ["x", "y"], "c" => [0.5, -1.5]).unwrap()
}

#[test]
fn every_format_that_is_written_reads_back() {
    let folder = Folder::new();
    for name in ["t.csv", "t.tsv", "t.json", "t.ndjson", "t.parquet", "t.arrow"] {
        let path = folder.0.path().join(name);
        write(&frame(), &path).unwrap();
        assert!(read(&path).unwrap().equals(&frame()), "{name}");
        let rows = scan(&path).unwrap().filter(col("a").gt(lit(1))).collect().unwrap();
        assert_eq!(rows.height(), 1, "{name}");
    }
    let error = write(&frame(), folder.0.path().join("t.doc")).unwrap_err().to_string();
    assert!(error.contains("unknown extension \"doc\""), "{error}");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 6, "nothing half-written is left");
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = Folder::new();
    let kept = folder.file("kept.csv", "a\n1\n");
    let lists = df!("a" => [1, 1]).unwrap().lazy().group_by([lit(1)]).agg([col("a")]);
    let lists = lists.collect().unwrap();
    for path in [kept.clone(), folder.0.path().join("new.csv")] {
        let error = write(&lists, &path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    assert_eq!(fs::read_to_string(&kept).unwrap(), "a\n1\n");
    assert_eq!(fs::read_dir(folder.0.path()).unwrap().count(), 1, "nothing is left aside");
    let error = write(&frame(), folder.0.path().join("no/such/folder.parquet")).unwrap_err();
    assert!(error.to_string().contains("folder.parquet"), "{error}");
}

#[test]
fn the_real_weather_file_has_dates_numbers_and_text() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../notebooks/data/seattle-weather.csv");
    let df = read(path).unwrap();
    assert_eq!(df.shape(), (1461, 6));
    assert_eq!(df.column("date").unwrap().dtype(), &DataType::Date);
    assert_eq!(df.column("wind").unwrap().dtype(), &DataType::Float64);
    let cars = read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../notebooks/data/cars.csv")).unwrap();
    assert_eq!(cars.column("horsepower").unwrap().null_count(), 6);
    assert_eq!(cars.column("year").unwrap().dtype(), &DataType::Date);
}

#[test]
fn dialects_encodings_and_compressions_are_detected() {
    let folder = Folder::new();
    let path = folder.file("semi.csv", "name;größe\nÄpfel;1,25\nBirnen;NA\n");
    let df = read(&path).unwrap();
    assert_eq!(df.column("größe").unwrap().f64().unwrap().get(0), Some(1.25));
    assert_eq!(df.column("größe").unwrap().null_count(), 1);

    let latin: Vec<u8> = "name,stadt\nJürgen,Köln\nZoë,Málaga und Größenwahn\n"
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect();
    let df = read(folder.file("latin.csv", &latin)).unwrap();
    assert_eq!(df.column("stadt").unwrap().str().unwrap().get(0), Some("Köln"));

    let wide: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain("a\tb\n1\té\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let df = read(folder.file("utf16.txt", &wide)).unwrap();
    assert_eq!(df.column("b").unwrap().str().unwrap().get(0), Some("é"));

    // A byte beyond UTF-8 far behind the sample.
    let mut late = b"n,t\n".to_vec();
    for row in 0..60_000 {
        writeln!(late, "{row},plain").unwrap();
    }
    late.extend(b"60000,caf\xe9\n");
    let df = read(folder.file("late.csv", &late)).unwrap();
    assert_eq!(df.column("t").unwrap().str().unwrap().get(60_000), Some("café"));

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"a|b\n1|2\n").unwrap();
    let df = read(folder.file("z.csv.gz", gzip.finish().unwrap())).unwrap();
    assert_eq!((df.shape(), df.get_column_names()[1].as_str()), ((1, 2), "b"));

    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(b"a\tb\n1\t2\n").unwrap();
    let df = read(folder.file("z.tsv.zz", zlib.finish().unwrap())).unwrap();
    assert_eq!((df.shape(), df.get_column_names()[1].as_str()), ((1, 2), "b"));
    // Two lines, as the program `zstd` writes them.
    let zstd = [
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x41, 0x00, 0x00, 0x61, 0x3b, 0x62, 0x0a, 0x31, 0x3b,
        0x32, 0x0a, 0xe5, 0x4b, 0xc5, 0x85,
    ];
    let df = read(folder.file("z.csv.zst", zstd)).unwrap();
    assert_eq!((df.shape(), df.get_column_names()[1].as_str()), ((1, 2), "b"));

    let df = read(folder.file("plain.csv", "1,2\n3,4\n")).unwrap();
    assert_eq!(df.shape(), (2, 2));
    let df =
        read_with(folder.file("named.csv", "1,2\n3,4\n"), &ReadOptions::new().with_header(true))
            .unwrap();
    assert_eq!((df.height(), df.get_column_names()[0].as_str()), (1, "1"));
    let df = read(folder.file("mark.csv", "\u{feff}a,b\n1,2\n")).unwrap();
    assert_eq!(df.get_column_names()[0].as_str(), "a");
}

/// The same bytes in every compressed form, under the usual endings.
fn compressed(text: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(text).unwrap();
    let zstd = zstd::encode_all(text, 3).unwrap();
    [("gz", gzip.finish().unwrap()), ("zz", zlib.finish().unwrap()), ("zst", zstd)]
}

#[test]
fn every_text_format_is_told_apart_in_every_compressed_form() {
    use std::fmt::Write as _;

    let folder = Folder::new();
    let mut lines = String::new();
    // Numbers that hardly compress, so that the file is longer than what is looked at.
    let mut state = 1_u64;
    for row in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(row);
        writeln!(lines, "{{\"a\": {row}, \"b\": \"{state:x}\"}}").unwrap();
    }
    let pretty = "{\n  \"a\": 1,\n  \"b\": \"x\"\n}\n";
    let list = "[{\"a\": 1, \"b\": \"x\"}, {\"a\": 2, \"b\": \"y\"}]";
    let bracket = "[a],b\n1,2\n";
    let cases = [
        ("lines.ndjson", lines.as_str(), 20_000, "a"),
        ("pretty.json", pretty, 1, "a"),
        ("list.json", list, 2, "a"),
        ("bracket.csv", bracket, 1, "[a]"),
    ];
    for (name, text, rows, first) in cases {
        for (ending, bytes) in compressed(text.as_bytes()) {
            let path = folder.file(&format!("{name}.{ending}"), bytes);
            let df = read(&path).unwrap_or_else(|error| panic!("{name}.{ending}: {error}"));
            assert_eq!(df.shape(), (rows, 2), "{name}.{ending}");
            assert_eq!(df.get_column_names()[0].as_str(), first, "{name}.{ending}");
        }
    }
}

#[test]
fn a_download_that_was_cut_off_is_no_shorter_table() {
    use std::fmt::Write as _;

    let folder = Folder::new();
    let mut lines = String::new();
    let mut table = String::from("a,b\n");
    let mut state = 1_u64;
    for row in 0..30_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(row);
        writeln!(lines, "{{\"a\": {row}, \"b\": \"{state:x}\"}}").unwrap();
        writeln!(table, "{row},{state:x}").unwrap();
    }
    for (name, text) in [("cut.ndjson", &lines), ("cut.csv", &table)] {
        for (ending, bytes) in compressed(text.as_bytes()) {
            let name = format!("{name}.{ending}");
            let found = read(folder.file(&name, &bytes[..bytes.len() * 2 / 3]));
            let error = found.map(|df| df.shape()).expect_err(&name).to_string();
            assert!(error.contains(&name), "{error}");
        }
    }
}

#[test]
fn types_that_change_late_are_read_all_the_same() {
    let folder = Folder::new();
    let mut text = String::from("n,day\n");
    for row in 0..3000 {
        text.push_str(&format!("{row},2024-01-01\n"));
    }
    text.push_str("0.5,not a day\n");
    let df = read(folder.file("late.csv", text)).unwrap();
    assert_eq!(df.column("n").unwrap().dtype(), &DataType::Float64);
    assert_eq!(df.column("day").unwrap().dtype(), &DataType::String);
    assert_eq!(df.height(), 3001);
}

#[test]
fn bad_files_are_errors_that_say_where() {
    let folder = Folder::new();
    let error = |path: PathBuf| read(path).unwrap_err().to_string();
    let ragged = error(folder.file("ragged.csv", "a,b\n1,2\n3,4\n5,6,7\n"));
    assert!(ragged.contains("ragged.csv") && ragged.contains("line 4: 3 fields"), "{ragged}");
    let empty = error(folder.file("empty.csv", ""));
    assert!(empty.contains("empty.csv\": the file is empty"), "{empty}");
    assert!(error(folder.file("blank.csv", "\n \n")).contains("white space"));
    let missing = error(folder.0.path().join("nowhere.csv"));
    assert!(missing.contains("nowhere.csv") && missing.contains("no such file"), "{missing}");
    assert!(error(folder.0.path().join("*.parquet")).contains("no file matches"));
    let json = error(folder.file("bad.json", "[{\"a\": 1}, {\"a\": ]"));
    assert!(json.contains("bad.json") && json.contains("line 1 column"), "{json}");
    for name in ["fake.parquet", "fake.arrow", "fake.xlsx"] {
        let fake = error(folder.file(name, "a,b\n1,2\n"));
        assert!(fake.contains("the name says"), "{fake}");
    }
    let lake = Folder::new();
    lake.file("a.csv", "x\n1\n");
    for hidden in [".ipynb_checkpoints/a.csv", "_delta_log/0.json", "_SUCCESS", ".b.csv"] {
        lake.file(hidden, "{\"y\": 1}");
    }
    assert_eq!(read(lake.0.path()).unwrap().shape(), (1, 1));
    assert!(error(folder.file("x.csv.bz2", "BZh91AY")).contains("bzip2"));
    let head = read(folder.file("header.csv", "a,b\n")).unwrap();
    assert_eq!(head.shape(), (0, 2));
    let cut = error(folder.file("cut.parquet", "PAR1oops"));
    assert!(cut.contains("cut.parquet"), "{cut}");
    let wrong = ReadOptions::new().with_columns(["A"]);
    let error = read_with(folder.file("ok.csv", "a,b\n1,2\n"), &wrong).unwrap_err().to_string();
    assert!(error.contains("did you mean \"a\"?"), "{error}");
}

#[test]
fn what_is_odd_within_a_file_is_kept_or_named() {
    let folder = Folder::new();
    // Short records end in nulls.
    let df = read(folder.file("short.csv", "a,b,c\n1,2,3\n4\n")).unwrap();
    assert_eq!((df.shape(), df.column("c").unwrap().null_count()), ((2, 3), 1));
    // A day that does not exist keeps the column as text.
    let mut text = String::from("day,x\n");
    for _ in 0..1500 {
        text.push_str("2024-01-31,1\n");
    }
    text.push_str("2024-02-30,1\n");
    let df = read(folder.file("days.csv", &text)).unwrap();
    assert_eq!(df.column("day").unwrap().dtype(), &DataType::String);
    assert_eq!(df.column("day").unwrap().str().unwrap().get(1500), Some("2024-02-30"));
    // Numbers that are none.
    let df = read(folder.file("nan.csv", "x\n1.5\nNaN\ninf\n-inf\n")).unwrap();
    let x = df.column("x").unwrap().f64().unwrap().clone();
    assert!(x.get(1).unwrap().is_nan() && x.get(2) == Some(f64::INFINITY), "{x:?}");
    // Beyond 64 bits.
    let df = read(folder.file("big.csv", "n\n1\n99999999999999999999999\n")).unwrap();
    assert_eq!(df.height(), 2);
    // Two columns of one name.
    let df = read(folder.file("same.csv", "a,a,b\n1,2,3\n")).unwrap();
    assert_eq!((df.width(), df.get_column_names()[0].as_str()), (3, "a"));
    // A line break within quotes, and quotes that are not closed.
    let df = read(folder.file("lines.csv", "a,b\n\"x\ny\",2\n")).unwrap();
    assert_eq!(df.column("a").unwrap().str().unwrap().get(0), Some("x\ny"));
    let error = read(folder.file("open.csv", "a,b\n1,\"x\n2,y\n3,z\n")).unwrap_err().to_string();
    assert!(error.contains("open.csv"), "{error}");
    let types = [("t.csv", "a,b\n1,x\nx,2\n1.5,true\n")];
    for (name, text) in types {
        let df = read(folder.file(name, text)).unwrap();
        assert_eq!(df.column("a").unwrap().dtype(), &DataType::String);
    }
}

#[test]
fn a_million_columns_are_read_or_refused_within_a_minute() {
    let folder = Folder::new();
    let names: Vec<String> = (0..1_000_000).map(|column| format!("c{column}")).collect();
    let values = "1.5,".repeat(999_999) + "x";
    let path = folder.file("wide.csv", format!("{}\n{values}\n{values}\n", names.join(",")));
    let started = std::time::Instant::now();
    let df = read(&path).unwrap();
    assert_eq!(df.shape(), (2, 1_000_000));
    assert_eq!(df.column("c999998").unwrap().f64().unwrap().get(1), Some(1.5));
    assert_eq!(df.column("c999999").unwrap().str().unwrap().get(0), Some("x"));
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    // A field too many is found in the line, whatever its length.
    let path = folder.file("ragged.csv", format!("{}\n{values}\n{values},1\n", names.join(",")));
    let error = read(path).unwrap_err().to_string();
    assert!(error.contains("line 3: 1000001 fields") && error.len() < 1000, "{error}");
}

#[test]
fn times_out_of_range_stay_text() {
    let folder = Folder::new();
    for (name, value) in [
        ("year", "300000-01-01"),
        ("month", "2024-13-01"),
        ("hour", "2024-01-01 25:00:00"),
        ("early", "0000-00-00"),
    ] {
        let text = format!("when,x\n2024-01-31,1\n{value},2\n2024-02-01,3\n");
        let df = read(folder.file(&format!("{name}.csv"), text)).unwrap();
        let when = df.column("when").unwrap();
        assert_eq!(when.dtype(), &DataType::String, "{name}");
        assert_eq!(when.str().unwrap().get(1), Some(value), "nothing is lost");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let folder = Folder::new();
    let path = folder.file("grows.csv", "a,b\n");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = {
        let (path, stop) = (path.clone(), std::sync::Arc::clone(&stop));
        std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b"1,2\n").unwrap();
            }
        })
    };
    let refused = (0..200).find_map(|_| read(&path).err());
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let error = refused.expect("it changed").to_string();
    assert!(error.contains("grows.csv") && error.contains("changed while it was read"), "{error}");
    assert!(read(&path).unwrap().height() > 0);
}

#[test]
fn globs_folders_and_partitions_are_stacked() {
    let folder = Folder::new();
    for (index, name) in ["one", "two"].iter().enumerate() {
        folder.file(&format!("in/{name}.csv"), format!("k,v\n{name},{index}\n"));
    }
    folder.file("in/notes.txt.bak", "x");
    let df = read(folder.0.path().join("in/*.csv")).unwrap();
    assert_eq!(df.shape(), (2, 2));
    assert_eq!(read(folder.0.path().join("**/t*.csv")).unwrap().height(), 1);

    for year in [2023, 2024] {
        let path = folder.0.path().join(format!("parts/year={year}/x.parquet"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&frame(), &path).unwrap();
    }
    let df = read(folder.0.path().join("parts")).unwrap();
    assert_eq!(df.height(), 4);
    assert_eq!(df.column("year").unwrap().i64().unwrap().sum(), Some(2 * (2023 + 2024)));

    for (land, year, rows) in
        [("no", "2023", "1\n2"), ("a%2Fb", "__HIVE_DEFAULT_PARTITION__", "0.5")]
    {
        folder.file(&format!("text/land={land}/year={year}/x.csv"), format!("v\n{rows}\n"));
    }
    let df = read(folder.0.path().join("text")).unwrap();
    assert_eq!(df.get_column_names(), ["v", "land", "year"]);
    assert_eq!(df.column("land").unwrap().str().unwrap().get(0), Some("a/b"));
    assert_eq!(df.column("year").unwrap().i64().unwrap().get(2), Some(2023));
    assert_eq!(df.column("year").unwrap().null_count(), 1);
    assert_eq!(df.column("v").unwrap().f64().unwrap().sum(), Some(3.5));
}

#[test]
fn databases_answer_queries() {
    let folder = Folder::new();
    let path = folder.0.path().join("shop.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "create table t (id integer, price real, name text, day text);
             insert into t values (1, 2, 'a', '2024-01-31'), (2, 2.5, null, '2024-02-01');",
        )
        .unwrap();
    drop(connection);
    let path = path.to_str().unwrap();
    let df = read_sql(path, "select * from t order by id").unwrap();
    let types: Vec<String> = df.dtypes().iter().map(ToString::to_string).collect();
    assert_eq!(types, ["i64", "f64", "str", "date"]);
    assert_eq!(df.column("name").unwrap().null_count(), 1);
    let df = read_sql(&format!("sqlite:{path}"), "select sum(price) as s from t").unwrap();
    assert_eq!(df.column("s").unwrap().f64().unwrap().get(0), Some(4.5));
    let error = read_sql(path, "select id,\n absent from t").unwrap_err().to_string();
    assert!(error.contains("no such column: absent (line 2, column 2)"), "{error}");
    let error = read_sql("sqlite:gone.db", "select 1").unwrap_err().to_string();
    assert!(error.contains("gone.db: there is no such file"), "{error}");
    let error = read_sql("$OXILAB_NO_SUCH_URL", "select 1").unwrap_err().to_string();
    assert!(error.contains("%env OXILAB_NO_SUCH_URL="), "{error}");
    assert!(read(path).unwrap_err().to_string().contains("read_sql"));
    let error =
        read_sql("postgres://me:secret@127.0.0.1:1/db", "select 1").unwrap_err().to_string();
    assert!(error.contains("me:…@127.0.0.1:1/db") && !error.contains("secret"), "{error}");
}

#[test]
fn pictures_are_listed_with_labels_and_sizes() {
    let folder = Folder::new();
    for (label, size) in [("cat", 3), ("dog", 5)] {
        let path = folder.0.path().join(format!("pets/{label}/1.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::new(size, 2).save(&path).unwrap();
    }
    let df = read_images(folder.0.path().join("pets")).unwrap();
    assert_eq!(df.column("label").unwrap().str().unwrap().get(1), Some("dog"));
    assert_eq!(df.column("width").unwrap().u32().unwrap().get(1), Some(5));
    assert!(read(folder.0.path().join("pets")).unwrap().equals(&df));
    let bad = folder.file("pets/dog/2.png", "no picture");
    let error = read_images(folder.0.path().join("pets")).unwrap_err().to_string();
    assert!(error.contains(bad.to_str().unwrap()), "{error}");
}

#[test]
fn urls_are_downloaded() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        for body in ["a,b\n1,2\n", ""] {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = std::io::Read::read(&mut stream, &mut request).unwrap();
            let status = if body.is_empty() { "404 Not Found" } else { "200 OK" };
            write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    let df = read(format!("http://{address}/t.csv?x=1")).unwrap();
    assert_eq!(df.shape(), (1, 2));
    let error = read(format!("http://{address}/gone.csv")).unwrap_err().to_string();
    assert!(error.contains("404") && error.contains("gone.csv"), "{error}");
    server.join().unwrap();
}

#[test]
fn spreadsheets_have_types_and_named_sheets() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/sheets.xlsx");
    let df = read(path).unwrap();
    let types: Vec<String> = df.dtypes().iter().map(ToString::to_string).collect();
    assert_eq!(types, ["i64", "f64", "str", "date", "bool"]);
    assert_eq!(df.column("price").unwrap().null_count(), 1);
    let second =
        read_with(path, &ReadOptions::new().with_sheet("other").with_header(false)).unwrap();
    assert_eq!(second.shape(), (2, 1));
    let error = read_with(path, &ReadOptions::new().with_sheet("none")).unwrap_err().to_string();
    assert!(error.contains("sheets are first, other"), "{error}");
}
