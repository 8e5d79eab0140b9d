//! A scheduler and two executors on this machine.

use std::{net::TcpListener, thread, time::Duration};

use tandem_log_engine::{
    ClusterUrl, Engine, ExecutorOptions, SchedulerOptions, run_executor, run_scheduler,
};

use crate::{Logs, parquet_files};

/// An address that nothing listens on.
fn free() -> std::net::SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Starts the programs as threads, which end with the tests.
pub(crate) fn start() -> ClusterUrl {
    let scheduler = free();
    thread::spawn(move || run_scheduler(&SchedulerOptions { listen: scheduler }));
    let url: ClusterUrl = format!("df://{scheduler}").parse().unwrap();
    for _ in 0..2 {
        let options = ExecutorOptions {
            scheduler: url.clone(),
            listen: free(),
            memory: 64 << 20,
            tasks: 2,
            folder: None,
        };
        thread::spawn(move || run_executor(&options));
    }
    // Executors wait for the scheduler, imports do not.
    while std::net::TcpStream::connect(scheduler).is_err() {
        thread::sleep(Duration::from_millis(50));
    }
    url
}

#[test]
fn a_cluster_gives_the_same_folder() {
    let cluster = start();
    let parquet = parquet_files::write(&parquet_files::rows(3_000), 100);
    let logs = Logs::new(&[
        ("a.parquet", &parquet),
        ("b.csv", b"user,item,time,event\nann,tea,1700000000,view\nann,cup,x,view\nbob,tea,1700000001,cart\n"),
        ("empty.csv", b"user,item,time\n"),
        ("untimed.csv", b"user,item\nb,x\na,z\nb,a\na,y\n"),
        ("bad.csv", b"who,what\n1,2\n"),
    ]);
    for events in [&["a.parquet", "b.csv", "empty.csv"][..], &["untimed.csv"]] {
        let mut options = logs.options(events);
        options.max_bad_rows = 1.0;
        let (expected, summary) = logs.in_memory(&options).unwrap();
        let (found, found_summary) =
            logs.outside(&options, Engine::Cluster(cluster.clone())).unwrap();
        assert_eq!(found, expected);
        assert_eq!(found_summary.to_string(), summary);
    }
    let options = logs.options(&["bad.csv"]);
    let expected = logs.in_memory(&options).unwrap_err();
    let error = logs.outside(&options, Engine::Cluster(cluster)).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(error.blames_input());
}

#[test]
fn a_cluster_that_does_not_answer_is_named() {
    let url: ClusterUrl = format!("df://{}", free()).parse().unwrap();
    let logs = Logs::new(&[("log", b"user,item\n1,2\n")]);
    let error = logs.outside(&logs.options(&["log"]), Engine::Cluster(url.clone()));
    let error = error.map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("the cluster {url} ")), "{error}");
    assert!(!error.blames_input());
}
