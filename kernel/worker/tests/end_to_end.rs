//! Cells in a real worker: everything but polars and the composer.
//!
//! A small prelude is linked from the runtime alone, cells are compiled against it with rustc, and the
//! kernel's own handle of the worker runs them.

mod lab;

use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Lab, Shown};
use oxilab_kernel::child::{ChildOutput, Worker};
use oxilab_protocol::{FailureKind, Outcome, Query, Request};
use serde_json::json;

#[test]
fn variables_survive_a_panic_and_are_checked() {
    let mut lab = Lab::start();
    let ran = lab.run(
        r#"
        let x = vec![1, 2, 3];
        c.put("x", x);
        c.put("s", String::from("kept"));
    "#,
    );
    assert_eq!(ran.outcome, Outcome::Ok);
    let stored: Vec<(&str, bool)> =
        ran.stored.iter().map(|v| (v.name.as_str(), v.needs_drop)).collect();
    assert_eq!(stored, [("x", true), ("s", true)]);

    let ran = lab.run(
        r#"
        let Some(mut x) = c.take::<Vec<i32>>("x") else { return };
        let done = c.step(|| { x.push(4); Ok(()) });
        let failed: Option<()> = c.step(|| { let v: Vec<u8> = Vec::new(); let i = v.len() + 3; println!("{}", v[i]); Ok(()) });
        assert!(failed.is_none());
        c.put("x", x);
        c.put("done", done);
    "#,
    );
    let failure = ran.failure();
    assert_eq!(failure.kind, FailureKind::Panic);
    assert_eq!(failure.message, "index out of bounds: the len is 0 but the index is 3");
    let (file, line, _) = failure.location.clone().expect("location");
    assert!(file.ends_with("cell_2.rs"), "{file}");
    assert_eq!(line, 7);
    assert!(ran.lost.is_empty());
    assert_eq!(ran.text(), "", "the hook prints nothing on the cell's thread");

    let ran = lab.run(r#"let _: Option<u8> = c.take("x");"#);
    assert_eq!(ran.failure().kind, FailureKind::Load);
    assert!(ran.failure().message.contains("alloc::vec::Vec<i32>"), "{:?}", ran.failure());

    let ran =
        lab.run(r#"let Some(x) = c.take::<Vec<i32>>("x") else { return }; println!("{x:?}");"#);
    assert_eq!(ran.text(), "[1, 2, 3, 4]\n");
    assert_eq!(ran.lost, ["x"]);

    let listed = lab.ask(Query::Variables).expect("answers");
    let names: Vec<&str> =
        listed.as_array().expect("list").iter().filter_map(|v| v["name"].as_str()).collect();
    assert_eq!(names, ["s", "done"]);
    assert_eq!(
        lab.ask(Query::Preview { name: "s".into() }).expect("there")["data"]["text/plain"],
        "\"kept\""
    );
    assert!(lab.ask(Query::Columns { name: "s".into() }).is_err());
    lab.request(|id| Request::Forget { id, names: vec!["s".into()] }).expect("forgets");
    assert!(lab.ask(Query::Preview { name: "s".into() }).is_err());
}

#[test]
fn errors_of_question_marks_and_libraries_are_replies() {
    let mut lab = Lab::start();
    let ran = lab.run(
        r#"
        let _ = c.step(|| {
            let n: i32 = "4x".parse().__q()?;
            Ok(n)
        });
    "#,
    );
    let failure = ran.failure();
    assert_eq!((failure.kind, failure.name.as_str()), (FailureKind::Error, "ParseIntError"));
    assert_eq!(failure.location.as_ref().map(|at| at.1), Some(6));
    let ran = lab.run_library("/nowhere/cell.so".as_ref());
    assert_eq!(ran.failure().kind, FailureKind::Load);
    assert!(ran.failure().message.contains("/nowhere/cell.so"));
    assert_eq!(lab.run(r#"println!("on");"#).text(), "on\n");
}

#[test]
fn prints_and_displays_keep_their_order() {
    let mut lab = Lab::start();
    let ran = lab.run(
        r#"
        use oxilab::{MimeBundle, display};
        for i in 0..200 {
            print!("p{i} ");
            display::show(MimeBundle::text(format!("d{i}")));
            unsafe { printf(c"c%d ".as_ptr(), i as std::ffi::c_int); }
            display::show(MimeBundle::text(format!("e{i}")));
        }
        oxilab::__rt::show_result(MimeBundle::text("result"));
        println!("end");
    "#,
    );
    let mut expected = Vec::new();
    for i in 0..200 {
        expected.push(Shown::Text(format!("p{i} ")));
        expected.push(Shown::Display(format!("d{i}"), false));
        expected.push(Shown::Text(format!("c{i} ")));
        expected.push(Shown::Display(format!("e{i}"), false));
    }
    expected.push(Shown::Display("result".into(), true));
    expected.push(Shown::Text("end\n".into()));
    assert_eq!(ran.shown, expected);
    let each = Duration::from_micros(ran.micros) / 400;
    assert!(each < Duration::from_millis(1), "{each:?} per display");
    println!("{each:?} per display");
}

#[test]
fn a_cell_may_close_its_streams_and_print_what_it_likes() {
    let mut lab = Lab::start();
    let ran = lab.run(r#"unsafe { close(1); close(0); } println!("into nothing");"#);
    assert_eq!(ran.outcome, Outcome::Ok);
    assert_eq!(lab.run(r#"println!("back");"#).text(), "back\n");
    let ran = lab.run(
        r#"
        use std::io::Write;
        std::io::stdout().write_all(b"bad \xff\xfe\0 end\n").unwrap();
        println!("EVCXR_BEGIN_CONTENT text/html\n<b>x</b>\nEVCXR_END_CONTENT");
        println!("after");
    "#,
    );
    assert_eq!(
        ran.shown,
        [
            Shown::Text("bad \u{fffd}\u{fffd}\0 end\n".into()),
            Shown::Display("[text/html]".into(), false),
            Shown::Text("after\n".into()),
        ]
    );
}

#[test]
fn ten_million_lines_neither_stall_nor_grow() {
    let mut lab = Lab::start();
    let started = Instant::now();
    let ran = lab.run(
        r#"
        use std::io::Write;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for i in 0..10_000_000 { writeln!(out, "{i}").unwrap(); }
    "#,
    );
    let text = ran.text();
    assert!(text.starts_with("0\n1\n"));
    assert!(text.ends_with("9999999\n"));
    assert!(
        text.contains("70.4 MB of output not shown"),
        "{}",
        &text[text.len() - 70_000..][..200]
    );
    assert!(text.len() < 9 << 20);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    println!("{:?} for ten million lines", started.elapsed());
    assert_eq!(lab.run(r#"println!("next");"#).text(), "next\n");
}

#[test]
fn crashes_are_told_apart() {
    let ends = [
        (
            "fn deep(n: u64) -> u64 { let a = [n; 64]; std::hint::black_box(&a); if n == 0 { 0 } else { deep(n - 1) + a[3] } } println!(\"{}\", deep(u64::MAX));",
            "killed by SIGSEGV: stack overflow",
        ),
        (
            "let p = std::hint::black_box(8 as *const u8); println!(\"{}\", unsafe { p.read_volatile() });",
            "killed by SIGSEGV: invalid memory access at address 0x8",
        ),
        ("std::process::exit(3)", "exited with status 3 (process::exit)"),
        ("std::process::abort()", "killed by SIGABRT: aborted"),
        ("unsafe { kill(getpid(), 9); } loop {}", "killed by SIGKILL: probably out of memory"),
    ];
    for (code, expected) in ends {
        let mut lab = Lab::start();
        let exit = lab.crash(&format!("print!(\"last words \"); {code};"));
        assert!(exit.0.starts_with(expected), "{}", exit.0);
        if !code.starts_with("unsafe") {
            assert!(
                exit.1.starts_with("last words")
                    || expected.contains("KILL")
                    || expected.contains("SEGV")
                    || expected.contains("ABRT"),
                "{}",
                exit.1
            );
        }
        lab.restart();
        assert_eq!(lab.run(r#"println!("works");"#).text(), "works\n");
    }
}

#[test]
fn an_interrupt_ends_loops_sleeps_and_awaits_and_keeps_variables() {
    let mut lab = Lab::start();
    lab.run(r#"c.put("v", 1u8);"#);
    for body in [
        "loop { __rt::poll(); std::hint::black_box(()); }",
        "std::thread::sleep(std::time::Duration::from_secs(100)); Ok(())",
        "__rt::block_on(std::future::pending::<()>()); Ok(())",
        "for _ in 0..1000 { std::thread::sleep(std::time::Duration::from_millis(100)); __rt::poll(); } Ok(())",
        "oxilab::input::input(\"name? \").map(|_| ()).__q()",
    ] {
        let ran = lab.run_interrupted(
            &format!(
                "let Some(v) = c.take::<u8>(\"v\") else {{ return }};
                 let _: Option<()> = c.step(|| {{ {body} }});
                 c.put(\"v\", v);"
            ),
            Duration::from_millis(100),
        );
        assert_eq!(ran.failure().kind, FailureKind::Interrupted, "{body}");
        assert!(ran.lost.is_empty(), "{body}");
        assert!(
            ran.after_interrupt < Duration::from_millis(500),
            "{body}: {:?}",
            ran.after_interrupt
        );
        let next = lab.run(r#"println!("next");"#);
        assert_eq!((next.outcome.clone(), next.text().as_str()), (Outcome::Ok, "next\n"), "{body}");
    }
}

#[test]
fn a_cell_without_polls_is_parked_and_only_its_variables_are_lost() {
    let mut lab = Lab::start();
    for body in [
        "let mut n = 0u64; loop { n = n.wrapping_add(1); std::hint::black_box(n); }",
        "let (tx, rx) = std::sync::mpsc::channel::<u8>(); let _ = rx.recv(); drop(tx); Ok(())",
    ] {
        lab.run(r#"c.put("taken", 1u8); c.put("other", 2u8);"#);
        let pid = lab.worker().pid();
        let ran = lab.run_interrupted(
            &format!(
                "let Some(v) = c.take::<u8>(\"taken\") else {{ return }};
                 let _: Option<()> = c.step(|| {{ {body} }});
                 c.put(\"taken\", v);"
            ),
            Duration::from_millis(100),
        );
        assert_eq!(ran.failure().kind, FailureKind::Interrupted, "{body}");
        assert_eq!(ran.lost, ["taken"], "{body}");
        assert!(ran.after_interrupt < Duration::from_secs(5), "{:?}", ran.after_interrupt);
        assert_eq!(lab.worker().pid(), pid, "the process lives on");
        let ran = lab.run(r#"let Some(o) = c.take::<u8>("other") else { return }; println!("{o}"); c.put("other", o);"#);
        assert_eq!(ran.text(), "2\n");
    }
}

#[test]
fn a_cell_that_holds_a_lock_is_ended_with_its_process() {
    let mut lab = Lab::start();
    let exit = lab.crash_interrupted(
        "let _out = std::io::stdout().lock(); loop { std::hint::black_box(()); }",
        Duration::from_millis(100),
    );
    assert!(exit.contains("held a lock") || exit.contains("did not stop"), "{exit}");
    lab.restart();
    assert_eq!(lab.run(r#"println!("works");"#).text(), "works\n");
}

#[test]
fn what_neither_answers_nor_parks_is_ended_in_time() {
    let mut lab = Lab::start();
    let started = Instant::now();
    let exit = lab.crash_interrupted("oxilab::stuck()", Duration::from_millis(100));
    assert_eq!(exit, "ended by the kernel: the cell did not stop when it was interrupted");
    lab.restart();
    assert_eq!(lab.run(r#"println!("works");"#).text(), "works\n");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn a_worker_that_cannot_start_says_why() {
    let mut config = Lab::config("/".as_ref());
    config.prelude = "/nowhere/liboxilab.so".into();
    let (_worker, mut outputs) = Worker::spawn(config.clone()).expect("the executable starts");
    let exit = loop {
        match outputs.blocking_recv().expect("an end") {
            ChildOutput::Exited(exit) => break exit.to_string(),
            ChildOutput::Stream { .. } | ChildOutput::Event(_) => {}
        }
    };
    assert!(exit.starts_with("could not start: /nowhere/liboxilab.so"), "{exit}");
    config.executable = "/nowhere/oxilab-worker".into();
    let error = Worker::spawn(config).expect_err("no executable").to_string();
    assert!(error.contains("/nowhere/oxilab-worker") && error.contains("oxilab doctor"), "{error}");
}

#[test]
fn input_is_asked_answered_and_refused() {
    let mut lab = Lab::start();
    lab.answers = vec!["Ada".into(), "secret".into(), "line one".into(), "seven".into()];
    let ran = lab.run(
        r#"
        let _ = c.step(|| {
            print!("hello ");
            let name = oxilab::input::input("name? ").__q()?;
            let key = oxilab::input::password("key? ").__q()?;
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).__q()?;
            println!("EVCXR_INPUT_REQUEST:number? ");
            let mut number = String::new();
            std::io::stdin().read_line(&mut number).__q()?;
            println!("{name} {key} {line:?} {number:?}");
            Ok(())
        });
    "#,
    );
    assert_eq!(ran.outcome, Outcome::Ok);
    assert_eq!(ran.text(), "hello Ada secret \"line one\\n\" \"seven\\n\"\n");
    assert_eq!(
        ran.asked,
        [
            ("name? ".to_owned(), false),
            ("key? ".to_owned(), true),
            (String::new(), false),
            ("number? ".to_owned(), false),
        ]
    );
    lab.allow_stdin = false;
    let ran = lab.run(r#"let _ = c.step(|| oxilab::input::input("name? ").__q());"#);
    assert_eq!(ran.failure().name, "InputError");
    assert!(ran.failure().message.contains("does not allow input"), "{}", ran.failure().message);
    let ran = lab.run(r#"
        let _ = c.step(|| { let mut l = String::new(); std::io::stdin().read_line(&mut l).__q()?; Ok(()) });
    "#);
    assert_eq!(ran.failure().kind, FailureKind::Error);
}

#[test]
fn progress_bars_and_comms_reach_the_kernel() {
    let mut lab = Lab::start();
    let ran = lab.run(
        r#"
        for _ in oxilab::progress::named("rows", 0..30) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    "#,
    );
    let shown: Vec<&Shown> = ran.shown.iter().collect();
    assert!((2..=6).contains(&shown.len()), "{shown:?}");
    let Some(Shown::Display(last, false)) = shown.last() else { panic!("{shown:?}") };
    assert!(last.starts_with("rows 30/30 100%"), "{last}");
    let ran = lab.run(r#"
        use oxilab::comm::Comm;
        let comm = Comm::open("jupyter.widget", oxilab::serde_json::json!({"a": 1}), oxilab::serde_json::json!({}), &[b"xy".to_vec()]);
        comm.on_message(|comm, message| {
            comm.send(oxilab::serde_json::json!({"echo": message.data}), &[]);
            println!("called");
        });
    "#);
    let [Shown::Comm(kind, id, data)] = ran.shown.as_slice() else { panic!("{:?}", ran.shown) };
    assert_eq!((kind.as_str(), &data["a"]), ("comm_open", &json!(1)));
    lab.send(&Request::Comm {
        id: 1 << 40,
        kind: "comm_msg".into(),
        comm_id: id.clone(),
        target: String::new(),
        data: json!(7),
        buffers: Vec::new(),
    });
    let ran = lab.run("");
    assert_eq!(ran.shown[0], Shown::Comm("comm_msg".into(), id.clone(), json!({"echo": 7})));
    assert_eq!(ran.shown[1], Shown::Text("called\n".into()));
}

#[test]
fn the_worker_is_small_has_one_libstd_and_a_clean_environment() {
    let mut lab = Lab::start();
    let ran = lab.run(
        r#"
        for (name, _) in std::env::vars() {
            if name.starts_with("OXILAB") || name == "LD_LIBRARY_PATH" { println!("{name}"); }
        }
        println!("{}", std::env::current_dir().unwrap().display());
        let child = std::process::Command::new("ls").arg("/proc/self/fd").output().unwrap();
        println!("{}", String::from_utf8_lossy(&child.stdout).lines().count());
    "#,
    );
    // Whoever started this test may have left descriptors open.
    let child = Command::new("ls").arg("/proc/self/fd").output().expect("ls runs");
    let inherited = String::from_utf8_lossy(&child.stdout).lines().count();
    assert_eq!(ran.text(), format!("{}\n{inherited}\n", lab.directory().display()));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", lab.worker().pid())).expect("maps");
    let mut libraries: Vec<&str> = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .filter(|path| path.contains("libstd-"))
        .collect();
    libraries.dedup();
    libraries.sort_unstable();
    libraries.dedup();
    assert_eq!(libraries.len(), 1, "{libraries:?}");
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", lab.worker().pid())).expect("status");
    let resident: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .expect("VmRSS");
    println!("{resident} kB resident");
    assert!(resident < 45_000, "{resident} kB");
    lab.request(|id| Request::SetEnv { id, name: "OX_TEST".into(), value: Some("1".into()) })
        .expect("sets");
    lab.request(|id| Request::SetDirectory { id, path: "/".into() }).expect("changes");
    let ran = lab.run(r#"println!("{:?} {}", std::env::var("OX_TEST"), std::env::current_dir().unwrap().display());"#);
    assert_eq!(ran.text(), "Ok(\"1\") /\n");
    let error = lab
        .request(|id| Request::SetDirectory { id, path: "/nowhere".into() })
        .expect_err("no such");
    assert!(error.contains("/nowhere"));
}

#[test]
fn the_end_drops_variables_newest_first_and_a_lost_kernel_ends_the_worker() {
    let mut lab = Lab::start();
    lab.run(
        r#"
        struct Loud(&'static str);
        impl Drop for Loud { fn drop(&mut self) { println!("drop {}", self.0); } }
        c.put("a", Loud("a"));
        c.put("b", Loud("b"));
    "#,
    );
    let (exit, text) = lab.shut_down();
    assert_eq!(text, "drop b\ndrop a\n");
    assert_eq!(exit, "exited with status 0 (process::exit)");
}
