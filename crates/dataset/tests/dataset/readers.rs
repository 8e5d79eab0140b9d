//! Import of well-formed files.

use tandem_dataset::{ItemIndex, readers};

use crate::{Files, provenance, shown};

const INTER: &[u8] = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n\
    10\t2\t3\t20\n\
    9\t7\t1\t5\n\
    10\t10\t5\t10\n\
    10\t9\t5\t10\n\
    9\t7\t1\t6\n";

#[test]
fn recbole_sequences_are_sorted_by_time_then_by_item() {
    let files = Files::new(&[("a.inter", INTER)]);
    let dataset = readers::recbole(&files.path("a.inter"), None, provenance()).unwrap();
    // Users as numbers, the tie at time 10 by item number, the repeat kept.
    assert_eq!(shown(&dataset), ["9: 7 7", "10: 9 10 2"]);
    assert_eq!(dataset.sequences[1].times, Some(vec![10, 10, 20]));
    assert_eq!(dataset.interactions(), 5);
    let catalogue: Vec<_> = dataset.catalogue.items().iter().map(|item| item.id.as_str()).collect();
    assert_eq!(catalogue, ["2", "7", "9", "10"]);
    // Training part: both of user 9 (too short for a split), the first of user 10.
    let counts: Vec<_> = dataset.catalogue.items().iter().map(|item| item.count).collect();
    assert_eq!(counts, [0, 2, 1, 0]);
}

#[test]
fn recbole_items_have_title_year_and_genres() {
    let item = "class:token_seq\titem_id:token\trelease_year:token\tmovie_title:token_seq\n\
        Drama Musical\t7\t1995\tMisérables, Les\n\
        unknown\t2\tunkonwn\tunkonwn\n\
        Animation Children's\t9\tV\tLand Before Time III (1995)\n\
        \t11\t\t\n\
        Thriller\t12\t2011\tUnknown\n";
    let files = Files::new(&[("a.inter", INTER), ("a.item", item.as_bytes())]);
    let dataset =
        readers::recbole(&files.path("a.inter"), Some(&files.path("a.item")), provenance())
            .unwrap();
    let found: Vec<_> = dataset
        .catalogue
        .items()
        .iter()
        .map(|item| (item.id.as_str(), item.title.as_str(), item.year, item.genres.join("|")))
        .collect();
    assert_eq!(
        found,
        [
            ("2", "", None, String::new()),
            ("7", "Misérables, Les", Some(1995), "Drama|Musical".into()),
            ("9", "Land Before Time III", Some(1995), "Animation|Children's".into()),
            // In the log only.
            ("10", "", None, String::new()),
            // In the catalogue only.
            ("11", "", None, String::new()),
            ("12", "Unknown", Some(2011), "Thriller".into()),
        ]
    );
}

#[test]
fn byte_order_marks_carriage_returns_and_blank_lines_are_accepted() {
    let text = String::from_utf8(INTER.to_vec()).unwrap();
    let odd = format!("\u{feff}{}\r\n\r\n", text.trim_end().replace('\n', "\r\n"));
    let files = Files::new(&[("a.inter", INTER), ("b.inter", odd.as_bytes())]);
    let plain = readers::recbole(&files.path("a.inter"), None, provenance()).unwrap();
    let same = readers::recbole(&files.path("b.inter"), None, provenance()).unwrap();
    assert_eq!(plain.sequences, same.sequences);
    assert_eq!(plain.catalogue.hash(), same.catalogue.hash());
}

#[test]
fn without_times_the_order_of_the_file_counts() {
    let files = Files::new(&[("a.csv", b"item,user\n3,u\n1,u\n2,u\n1,u\n")]);
    let dataset = readers::csv(&files.path("a.csv"), None, provenance()).unwrap();
    assert_eq!(shown(&dataset), ["u: 3 1 2 1"]);
    assert_eq!(dataset.sequences[0].times, None);
}

#[test]
fn csv_supports_quotes_and_a_catalogue() {
    let log = b"\xef\xbb\xbfTimestamp,User_ID,Item_ID,extra\r\n2.5,\"b, c\",x,1\r\n1e1,a,x,2\r\n-3,a,y,3\r\n";
    let catalogue =
        b"id,name,year,genres\nx,\"Heat, \"\"the\"\" film (1995)\",,Crime|Drama\nz,Zed,1999.0,\n";
    let files = Files::new(&[("log.csv", log), ("items.csv", catalogue)]);
    let dataset =
        readers::csv(&files.path("log.csv"), Some(&files.path("items.csv")), provenance()).unwrap();
    assert_eq!(shown(&dataset), ["a: y x", "b, c: x"]);
    assert_eq!(dataset.sequences[0].times, Some(vec![-3, 10]));
    assert_eq!(dataset.sequences[1].times, Some(vec![2]));
    let items = dataset.catalogue.items();
    assert_eq!((items[0].title.as_str(), items[0].year), ("Heat, \"the\" film", Some(1995)));
    assert_eq!(items[0].genres, ["Crime", "Drama"]);
    assert_eq!((items[1].title.as_str(), items[2].year), ("", Some(1999)));
    assert!(items[2].genres.is_empty());
}

#[test]
fn jsonl_ids_may_be_numbers() {
    let log = b"{\"user\":1,\"item\":\"5\",\"timestamp\":7}\n\n{\"user\":\"1\",\"item\":5,\"time\":6.9,\"x\":[]}\n";
    let catalogue = b"{\"item\":5,\"title\":\"Five\",\"year\":1995,\"genres\":[\"A b\"]}\n";
    let files = Files::new(&[("log.jsonl", log), ("items.jsonl", catalogue)]);
    let dataset =
        readers::jsonl(&files.path("log.jsonl"), Some(&files.path("items.jsonl")), provenance())
            .unwrap();
    assert_eq!(shown(&dataset), ["1: 5 5"]);
    assert_eq!(dataset.sequences[0].times, Some(vec![6, 7]));
    assert_eq!(dataset.catalogue.get(ItemIndex(0)).genres, ["A b"]);
}

#[test]
fn sequence_text_keeps_the_order_of_its_lines() {
    let files = Files::new(&[
        ("sequences.txt", b"2 3 1\n1 10 2 10\n"),
        ("times.txt", b"2 5 5\n1 1 2 2\n"),
        (
            "items.tsv",
            b"item_id\texternal_id\ttitle\tcategories\n1\tB0\tA \"quoted\" thing\tX > Y & Z\n2\tB1\t\t\n",
        ),
    ]);
    let dataset = readers::sequences(&files.path(""), provenance()).unwrap();
    assert_eq!(shown(&dataset), ["1: 10 2 10", "2: 3 1"]);
    assert_eq!(dataset.sequences[1].times, Some(vec![5, 5]));
    let first = &dataset.catalogue.items()[0];
    assert_eq!(first.title, "A \"quoted\" thing");
    assert_eq!(first.genres, ["X", "Y & Z"]);
    assert_eq!(dataset.catalogue.len(), 4);

    let bare = Files::new(&[("sequences.txt", b"1 1 2")]);
    let dataset = readers::sequences(&bare.path(""), provenance()).unwrap();
    assert_eq!(dataset.sequences[0].times, None);
}
