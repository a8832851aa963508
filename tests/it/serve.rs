//! `%serve` and its kin as a person uses them: a model of the session, one of the registry, from cells and
//! from a shell.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use oxilab_tests::engine;
use oxilab_tests::frontend::{Executed, Frontend};

use crate::binary::oxilab;
use crate::interrupt::{Ready, interrupt};

/// What a person sees of a cell.
fn text(done: &Executed) -> String {
    let shown = done.outputs.iter().filter_map(|m| m.content["data"]["text/plain"].as_str());
    done.stream("stdout") + &shown.collect::<String>()
}

async fn shows(frontend: &mut Frontend, code: &str) -> String {
    text(&engine::run(frontend, code).await)
}

/// A name that no other test and no earlier run uses: servers outlive kernels.
fn unique(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

/// The first address in a text.
fn url(text: &str) -> String {
    let start = text.find("http://127.0.0.1:").unwrap_or_else(|| panic!("no address in {text}"));
    let port = text[start + "http://127.0.0.1:".len()..].split(|c: char| !c.is_ascii_digit());
    format!("http://127.0.0.1:{}", port.into_iter().next().unwrap_or_default())
}

const ROW: &str = r#"json!({"mean_radius": 20.5, "mean_concavity": 0.2})"#;

/// The model's answer, asked in a cell.
fn ask(url: &str, path: &str) -> String {
    format!("serve::post_json(\"{url}{path}\", &{ROW})?[\"prediction\"].to_string()")
}

/// Trains a model and registers it as `cancer@champion` in a journal of this folder.
fn train(folder: &std::path::Path) -> String {
    let folder = folder.display();
    format!(
        "track::set_uri(\"journal:{folder}/track.sqlite\")?;\n\
         let data = data::datasets::breast_cancer()?;\n\
         let data = data.select([\"mean_radius\", \"mean_concavity\", \"diagnosis\"])?;\n\
         let model = model::LogisticRegression::new().fit(&data, \"diagnosis\")?;\n\
         let version = serve::register(&model, \"cancer\", &data)?;\n\
         serve::promote(\"cancer\", version.version, \"champion\")?;\n\
         let folder = \"{folder}\".to_owned();"
    )
}

/// Stops servers with the test, also where it fails.
struct Stops([String; 2]);

impl Drop for Stops {
    fn drop(&mut self) {
        for name in &self.0 {
            // Most have stopped.
            let _ = Command::new(oxilab()).args(["serve", "stop", name]).output();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_cell_outlives_interrupts_and_crashes() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = unique("live");
    let _stops = Stops([name.clone(), name.clone()]);
    let mut frontend = engine::start().await;
    engine::run(&mut frontend, &train(folder.path())).await;
    let started =
        shows(&mut frontend, &format!("%serve model --name {name} --reference data")).await;
    let url = url(&started);
    let malignant = "\"\\\"malignant\\\"\"";
    let said = engine::run(&mut frontend, &ask(&url, "/predict")).await;
    assert_eq!(said.result(), malignant);

    interrupt(&mut frontend, "println!(\"go\"); loop {}", Ready::Printed).await;
    let said = engine::run(&mut frontend, &ask(&url, "/predict")).await;
    assert_eq!(said.result(), malignant, "after an interrupt");

    let crashed = frontend.execute("std::process::abort()").await;
    assert_eq!(crashed.reply["status"], "error");
    let said = engine::run(&mut frontend, &ask(&url, "/predict")).await;
    assert_eq!(said.result(), malignant, "after a crash");

    let listed = shows(&mut frontend, "%serve list").await;
    assert!(listed.contains(&name) && listed.contains(&url), "{listed}");
    let log = shows(&mut frontend, &format!("%serve logs {name}")).await;
    assert!(log.contains("127.0.0.1"), "{log}");
    let seen = shows(&mut frontend, &format!("%monitor {name}")).await;
    assert!(seen.contains(&name), "{seen}");
    let requests = format!("serve::monitor({name:?})?.models[0].requests");
    assert_eq!(engine::run(&mut frontend, &requests).await.result(), "3");
    let twice = frontend
        .execute(&format!("%serve {}/none.oxi --name {name}", folder.path().display()))
        .await;
    assert_eq!(twice.reply["status"], "error", "{}", twice.reply);
    let listed = told(folder.path(), &["list"]);
    assert!(listed.contains(&name) && listed.contains(&url), "{listed}");
    assert_eq!(told(folder.path(), &["logs", &name]).trim(), log.trim());
    assert_eq!(told(folder.path(), &["stop", &name]), "");
    let listed = shows(&mut frontend, "%serve list").await;
    assert!(!listed.contains(&name), "{listed}");
    frontend.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_of_the_registry_are_served_pushed_and_trained_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (name, receiver) = (unique("registry"), unique("receiver"));
    let _stops = Stops([name.clone(), receiver.clone()]);
    let mut frontend = engine::start().await;
    engine::run(&mut frontend, &train(folder.path())).await;
    let started = shows(&mut frontend, &format!("%serve cancer@champion --name {name}")).await;
    let from = url(&started);
    let said = engine::run(&mut frontend, &ask(&from, "/predict")).await;
    assert!(said.result().contains("malignant"), "{}", said.result());

    let key = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"; // of "key"
    let accepts = format!(
        "serve::Server::of(\"{receiver}\", &model)?.with_api_key_hash(\"{key}\")\
         .with_accept(format!(\"{{folder}}/pushed\")).start()?"
    );
    let to = url(&shows(&mut frontend, &accepts).await);
    engine::run(&mut frontend, "%env OXILAB_API_KEY=key").await;
    let dry =
        shows(&mut frontend, &format!("%push cancer@champion to {to} --name sent --dry-run")).await;
    assert!(dry.contains("sent") && dry.contains("new there"), "{dry}");
    let sent = shows(&mut frontend, &format!("%push cancer@champion to {to} --name sent")).await;
    assert!(sent.contains("new there"), "{sent}");
    let asked = format!(
        "serve::post_json_with_key(\"{to}/predict/sent\", &{ROW}, \"key\")?[\"prediction\"].to_string()"
    );
    let said = engine::run(&mut frontend, &asked).await;
    assert!(said.result().contains("malignant"), "{}", said.result());

    let out = folder.path().join("kserve");
    let push =
        format!("%push cancer@champion to kserve --folder {} --image r.example/c:1", out.display());
    let dry = shows(&mut frontend, &format!("{push} --dry-run")).await;
    assert!(dry.contains("inferenceservice.yaml") && !out.exists(), "{dry}");
    shows(&mut frontend, &push).await;
    let manifest = std::fs::read_to_string(out.join("inferenceservice.yaml")).expect("written");
    assert!(manifest.contains("r.example/c:1"), "{manifest}");

    // New data is not there yet.
    let declare = "serve::Retrain::new(\"cancer\", \"none.ipynb\", \"none.parquet\")\
                   .with_state_folder(&folder).save(format!(\"{folder}/again.json\"))?";
    engine::run(&mut frontend, declare).await;
    let again =
        shows(&mut frontend, &format!("%retrain {}/again.json", folder.path().display())).await;
    assert!(again.contains("no trigger holds"), "{again}");
    let now =
        frontend.execute(&format!("%retrain {}/again.json --now", folder.path().display())).await;
    assert!(now.reply["evalue"].to_string().contains("none."), "{}", now.reply);

    engine::run(&mut frontend, &format!("%serve stop {name}")).await;
    engine::run(&mut frontend, &format!("%serve stop {receiver}")).await;
    frontend.shut_down().await;
}

/// A program that is ended with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command `oxilab serve`, with a registry in a folder.
fn serve(folder: &std::path::Path, words: &[&str]) -> Command {
    let mut command = Command::new(oxilab());
    let registry = format!("journal:{}/track.sqlite", folder.display());
    command.arg("serve").args(words).env("MLFLOW_TRACKING_URI", registry);
    command
}

fn told(folder: &std::path::Path, words: &[&str]) -> String {
    let output = serve(folder, words).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_serves_promotes_and_rolls_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = unique("shell");
    let mut frontend = engine::start().await;
    engine::run(&mut frontend, &train(folder.path())).await;
    let second = "let second = model::LogisticRegression::new().with_c(0.1).fit(&data, \"diagnosis\")?;\n\
                  serve::register(&second, \"cancer\", &data)?.version";
    assert_eq!(engine::run(&mut frontend, second).await.result(), "2");
    let mut command =
        serve(folder.path(), &["models:/cancer@champion", "--name", &name, "--port", "0"]);
    let log = folder.path().join("log");
    let file = std::fs::File::create(&log).expect("a file");
    let errors = file.try_clone().expect("a second handle");
    let mut started = Started(command.stdout(file).stderr(errors).spawn().expect("it starts"));
    let begun = Instant::now();
    let at = loop {
        let said = std::fs::read_to_string(&log).expect("there");
        if said.contains("http://127.0.0.1:") {
            break url(&said);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{said}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let answer = engine::run(&mut frontend, &ask(&at, "/predict")).await;
    assert!(answer.result().contains("malignant"), "{}", answer.result());
    let promoted = told(folder.path(), &["promote", "cancer/2", "champion"]);
    assert_eq!(promoted, "cancer@champion is version 2\n");
    let back = told(folder.path(), &["rollback", "cancer@champion"]);
    assert_eq!(back, "cancer@champion is version 1 again\n");
    let press = Command::new("kill").args(["-INT", &started.0.id().to_string()]).status();
    assert!(press.expect("it runs").success());
    assert!(started.0.wait().expect("ends").success());
    frontend.shut_down().await;
}
