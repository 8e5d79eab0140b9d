//! A server without a language model, in front of others that make its lists.

use std::{
    fs::{self, File},
    net::TcpListener,
    process::Command,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tandem_dataset::{Catalogue, Dataset, Item, ItemIndex, Sequence};

use crate::{
    fixture::{candidate_ids, wait_until, write_artifacts},
    process::Process,
    start::{Folder, sentence},
};

const NO_RATES: [&str; 4] = ["--rate-candidates", "0", "--rate-requests", "0"];

/// Starts a server on a folder of its own for the port file.
fn start(name: &str, folder: &Folder, command: &mut Command) -> Process {
    let ports = folder.path(name);
    fs::create_dir(&ports).unwrap();
    Process::start_with(&ports, command)
}

/// Rates are those of the server in front.
fn generator(name: &str, folder: &Folder) -> Process {
    start(name, folder, folder.command().args(NO_RATES)).ready()
}

fn url(process: &Process) -> String {
    format!("http://127.0.0.1:{}", process.port())
}

/// A server that asks these generators.
fn front(folder: &Folder, urls: &[String]) -> Command {
    let mut command = folder.command_on_port("0");
    for url in urls {
        command.args(["--generator", url]);
    }
    command
}

fn body(history: &[&str]) -> Value {
    json!({ "history": history, "k": 10, "rows": true, "exclude": ["2"] })
}

#[test]
fn the_list_is_that_of_a_generator_with_the_rows_of_this_server() {
    let folder = Folder::new();
    let generator = generator("generator", &folder);
    let front = start("front", &folder, &mut front(&folder, &[url(&generator)])).ready();
    let request = body(&["3", "4", "unknown"]);
    let (direct, through) = (generator.candidates(&request), front.candidates(&request));
    assert_eq!(candidate_ids(&through), candidate_ids(&direct));
    for field in ["model", "ranking", "ignored", "catalogue_hash", "history_rows"] {
        assert_eq!(through[field], direct[field], "{field}");
    }
    let rows = |list: &Value| -> Vec<Value> {
        list["candidates"].as_array().unwrap().iter().map(|it| it["row"].clone()).collect()
    };
    assert!(rows(&through)[0].is_string());
    assert_eq!(rows(&through), rows(&direct));
    let models = |process: &Process| process.get("/v1/models").1;
    assert_eq!(models(&front), models(&generator));
    let status: Value = serde_json::from_slice(&front.get("/v1/status").1).unwrap();
    assert_eq!(status["language_model"]["name"], "model");

    let (status, answer) = front.post("/v1/candidates", r#"{"history":[],"model":"none"}"#);
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&answer));
    let (status, _) = front.post("/v1/candidates", r#"{"history":[],"k":0}"#);
    assert_eq!(status, 400);
}

#[test]
fn requests_go_on_when_a_generator_is_killed_and_when_it_is_back() {
    let folder = Folder::new();
    let (mut one, other) = (generator("one", &folder), generator("other", &folder));
    let urls = [url(&one), url(&other)];
    let front = start("front", &folder, &mut front(&folder, &urls)).ready();
    let ask = |count: usize| {
        thread::scope(|scope| {
            for client in 0..4 {
                let front = &front;
                scope.spawn(move || {
                    for number in 0..count {
                        let item = (1 + (client * count + number) % 30).to_string();
                        let (status, answer) =
                            front.post("/v1/candidates", &body(&[&item]).to_string());
                        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
                    }
                });
            }
        });
    };
    ask(10);
    thread::scope(|scope| {
        scope.spawn(|| ask(40));
        one.stop_with("-KILL");
    });
    ask(10);
    drop(other);
    let (status, answer) = front.post("/v1/candidates", &body(&["1"]).to_string());
    assert_eq!(status, 503);
    let problem: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(problem["code"], "not_ready");
    wait_until("the server is not ready", || front.get("/readyz").0 == 503);
    // What needs no list is answered.
    assert_eq!(front.post("/v1/rows", r#"{"items":["1"]}"#).0, 200);
    let mut again = folder.command_on_port(&one.port().to_string());
    again.arg("--gguf").arg(folder.path("model.gguf")).args(NO_RATES);
    let _again = start("again", &folder, &mut again).ready();
    wait_until("the generator is found again", || front.get("/readyz").0 == 200);
    ask(1);
}

/// It accepts connections, but no request is answered: only the second request helps.
#[test]
fn a_generator_that_hangs_does_not_delay_a_list() {
    let folder = Folder::new();
    let (hanging, other) = (generator("hanging", &folder), generator("other", &folder));
    let urls = [url(&hanging), url(&other)];
    let front = start("front", &folder, front(&folder, &urls).args(["--timeout", "600"])).ready();
    wait_until("both are found", || {
        let lists = |process: &Process| -> u64 {
            let (_, metrics) = process.get("/metrics");
            let metrics = String::from_utf8(metrics).unwrap();
            let lists = metrics.lines().find(|it| it.starts_with("tandem_candidate_lists_total{"));
            lists.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
        };
        front.candidates(&body(&["1"]));
        lists(&hanging) > 0 && lists(&other) > 0
    });
    hanging.signal("-STOP");
    // More than a few: each generator is drawn first for half of them.
    for item in 1..=12 {
        front.candidates(&body(&[&item.to_string()]));
    }
    hanging.signal("-CONT");
}

#[test]
fn a_generator_of_another_catalogue_is_not_used() {
    let (folder, another) = (Folder::new(), Folder::new());
    let items = (1..=9).map(|number| Item {
        title: format!("The book of number {number}"),
        ..Item::untitled(format!("book-{number}").as_str().into())
    });
    let books = Catalogue::new(items.collect()).unwrap();
    let sequence =
        Sequence { user: "1".to_owned(), items: vec![ItemIndex(0), ItemIndex(1)], times: None };
    let dataset = Dataset::new("books", books, vec![sequence], None).unwrap();
    fs::remove_dir_all(another.path("data")).unwrap();
    dataset.save(&another.path("data")).unwrap();
    fs::remove_dir_all(another.path("artifacts")).unwrap();
    write_artifacts(&another.path("artifacts"), &dataset.catalogue, 0);
    let (wrong, right) = (generator("wrong", &another), generator("right", &folder));
    let front_of = |name: &str, urls: &[String]| {
        let mut command = front(&folder, urls);
        command.env("RUST_LOG", "warn").stderr(File::create(folder.path(name)).unwrap());
        start(&format!("{name} ports"), &folder, &mut command)
    };
    let said = |name: &str| fs::read_to_string(folder.path(name)).unwrap();
    let only = front_of("only", &[url(&wrong)]);
    wait_until("the log says why", || said("only").contains("another catalogue"));
    let (status, answer) = only.post("/v1/candidates", &body(&["1"]).to_string());
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&answer));
    assert_eq!(only.get("/readyz").0, 503);
    let both = front_of("both", &[url(&wrong), url(&right)]).ready();
    wait_until("the log says why", || said("both").contains(&url(&wrong)));
    (0..8).for_each(|_| drop(both.candidates(&body(&["1"]))));
    drop((only, both));
    for name in ["only", "both"] {
        assert_eq!(said(name).matches("another catalogue").count(), 1, "{}", said(name));
    }
    let checked = front(&folder, &[url(&wrong)]).arg("--check").env("RUST_LOG", "warn").output();
    let checked = checked.unwrap();
    let text = String::from_utf8_lossy(&checked.stderr) + String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && text.contains("another catalogue"), "{text}");
}

#[test]
fn a_server_that_asks_others_is_no_generator() {
    let folder = Folder::new();
    let generator = generator("generator", &folder);
    let first = start("first", &folder, &mut front(&folder, &[url(&generator)])).ready();
    let checked = sentence(front(&folder, &[url(&first)]).arg("--check"));
    assert!(
        checked.contains("makes no lists itself") && checked.contains(&url(&first)),
        "{checked}"
    );
    let twice = sentence(front(&folder, &[url(&first), url(&first)]).arg("--check"));
    assert!(twice.contains("given twice"), "{twice}");
    let second = start("second", &folder, &mut front(&folder, &[url(&first)]));
    // Two looks.
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(second.get("/readyz").0, 503);
}

#[test]
fn a_generator_with_keys_serves_the_holder_of_its_admin_key() {
    let folder = Folder::new();
    let keys = folder.path("keys.toml");
    let key = |kind: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_cloud-server"))
            .args(["keys", "new", "--name", kind, "--kind", kind, "--file"])
            .arg(&keys)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let admin = key("admin");
    let mut command = folder.command();
    let generator = start("generator", &folder, command.arg("--keys").arg(&keys)).ready();
    let mut asked = front(&folder, &[url(&generator)]);
    let front_with = start("with", &folder, asked.env("TANDEM_GENERATOR_KEY", &admin)).ready();
    assert_eq!(candidate_ids(&front_with.candidates(&body(&["3"]))).len(), 10);
    let front_without = start("without", &folder, &mut front(&folder, &[url(&generator)]));
    assert_eq!(front_without.post("/v1/candidates", &body(&["3"]).to_string()).0, 503);
    assert_eq!(front_without.get("/readyz").0, 503);
    let public = key("public");
    generator.signal("-HUP");
    for (key, reason) in [
        (None, "it needs a key"),
        (Some("tandem_admin_unknown"), "it needs a key"),
        (Some(public.as_str()), "is a public key there"),
    ] {
        let mut command = front(&folder, &[url(&generator)]);
        key.map(|key| command.env("TANDEM_GENERATOR_KEY", key));
        let mut said = String::new();
        wait_until("the reason is named", || {
            said = sentence(command.arg("--check"));
            said.contains(reason)
        });
        assert!(said.contains("--generator-key") && said.contains(&url(&generator)), "{said}");
    }
}

/// The log of the server in front says it, because visitors only hear of a full queue.
#[test]
fn the_log_says_that_a_generator_limits_rates() {
    let folder = Folder::new();
    let mut limited = folder.command();
    limited.args(["--rate-candidates", "2", "--trusted-proxy", "127.0.0.1"]);
    let generator = start("generator", &folder, &mut limited).ready();
    let mut command = front(&folder, &[url(&generator)]);
    command.args(NO_RATES).env("RUST_LOG", "warn");
    command.stderr(File::create(folder.path("log")).unwrap());
    let front = start("front", &folder, &mut command).ready();
    let post = || front.post("/v1/candidates", &body(&["3"]).to_string()).0;
    wait_until("it is limited", || post() == 503);
    (0..5).for_each(|_| assert_eq!(post(), 503));
    let said = fs::read_to_string(folder.path("log")).unwrap();
    assert_eq!(said.matches("limits the rate of visitors").count(), 1, "{said}");
}

#[test]
fn no_generator_answers_at_the_start() {
    let folder = Folder::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let front = start("front", &folder, &mut front(&folder, &[nobody]));
    assert_eq!(front.get("/readyz").0, 503);
    assert_eq!(front.get("/livez").0, 200);
    assert_eq!(front.get("/v1/manifest").0, 200);
    assert_eq!(front.post("/v1/candidates", &body(&["1"]).to_string()).0, 503);
}
