//! Files of items.

use tandem_dataset::{DatasetError, ImportOptions, import};

use crate::{Files, items, shown, with_catalogue};

const LOG: &str = "user,product_id\nu,1\nu,2\n";

#[test]
fn items_are_matched_by_the_column_of_the_log() {
    // `id` alone would be the item, too, but the log calls it `product_id`.
    let read = with_catalogue(LOG, "id,product_id,sku,title\n7,1,x,One\n8,2,y,Two\n");
    assert_eq!(items(&read), ["1 \"One\" -", "2 \"Two\" -"]);
    let read = with_catalogue(LOG, "id;name;genre\n1;One;A|B\n2;Two;\n3;Three;C\n");
    assert_eq!(items(&read), ["1 \"One\" - A|B", "2 \"Two\" -", "3 \"Three\" - C"]);
    assert_eq!((read.summary.unlisted, read.summary.unused), (Some((0, String::new())), Some(1)));
}

#[test]
fn items_that_the_catalogue_lacks_are_counted_with_an_example() {
    let read = with_catalogue(LOG, "id,title\n01,One\n2,Two\n");
    assert_eq!(read.summary.unlisted, Some((1, "1".to_owned())));
    // Leading zeros are part of an id.
    assert_eq!(items(&read), ["1 \"\" -", "01 \"One\" -", "2 \"Two\" -"]);
    let text = read.summary.to_string();
    assert!(text.contains("1 item of the log not in the catalogue, for example 1"), "{text}");
}

#[test]
fn values_are_converted_where_it_is_obvious() {
    let catalogue = r#"{"id":1,"title":["The","Film"],"year":1999.0,"genres":[{"id":3,"name":"Crime"},"Drama",null]}
{"id":"2","title":null,"year":"2001-05-06","genres":"['Crime', 'Drama']","x":{"y":1}}
"#;
    let read = with_catalogue(LOG, catalogue);
    assert_eq!(items(&read), ["1 \"The, Film\" 1999 Crime|Drama", "2 \"\" 2001 Crime|Drama"]);
    assert_eq!(read.summary.bad_rows, []);
    let read =
        with_catalogue(LOG, "id,title,year\n1,\"Heat, \"\"the\"\" film (1995)\",\n2,300,1999.0\n");
    assert_eq!(items(&read), ["1 \"Heat, \\\"the\\\" film\" 1995", "2 \"300\" 1999"]);
}

#[test]
fn what_cannot_be_read_names_line_and_field_and_keeps_the_item() {
    let catalogue = "{\"id\":1,\"title\":\"One\",\"year\":\"'95\"}\n{\"id\":2,\"title\":{\"a\":{\"b\":{\"c\":1}}}}\n{\"id\":[3]}\nnonsense\n";
    let read = with_catalogue(LOG, catalogue);
    assert_eq!(items(&read), ["1 \"One\" -", "2 \"\" -"]);
    let bad: Vec<String> =
        read.summary.bad_rows.iter().map(|row| format!("{}: {}", row.line, row.reason)).collect();
    assert_eq!(bad[0], "1: item 1: field year: expected a year of four digits, found \"'95\"");
    assert_eq!(bad[1], "3: field id: expected an item id, found a list");
    assert!(bad[2].starts_with("4: expected a JSON object, found "), "{bad:?}");

    let files = Files::new(&[("log", LOG.as_bytes()), ("items", catalogue.as_bytes())]);
    let options = ImportOptions { catalogue: vec![files.path("items")], ..files.options(&["log"]) };
    let error = import(&options).unwrap_err().to_string();
    assert!(error.contains("3 of 4 rows") && error.contains("field year"), "{error}");
}

#[test]
fn rows_of_one_item_complete_each_other() {
    let read = with_catalogue(LOG, "id,title,category\n1,One,\n1,,A\n1,Uno,B\n2,Two,\n");
    assert_eq!(items(&read), ["1 \"One\" - A", "2 \"Two\" -"]);
    assert!(
        read.summary.notes[0].starts_with("2 rows of the catalogue"),
        "{:?}",
        read.summary.notes
    );

    let files = Files::new(&[
        ("log", LOG.as_bytes()),
        ("en.csv", b"id,title\n1,One\n"),
        ("more.jsonl", b"{\"product_id\":\"1.0\",\"category\":[\"A\"]}\n"),
    ]);
    let catalogue = vec![files.path("en.csv"), files.path("more.jsonl")];
    let read = import(&ImportOptions { catalogue, ..files.options(&["log"]) }).unwrap();
    assert_eq!(items(&read), ["1 \"One\" - A", "2 \"\" -"]);
}

#[test]
fn atomic_files_have_title_year_and_genres() {
    let item = "class:token_seq\titem_id:token\trelease_year:token\tmovie_title:token_seq\n\
        Drama Musical\t7\t1995\tMisérables, Les\n\
        unknown\t2\tunkonwn\tunkonwn\n\
        Animation Children's\t9\tV\tLand Before Time III (1995)\n\
        \t11\t\t\n\
        Thriller\t12\t2011\tUnknown\n";
    let inter = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n\
        10\t2\t3\t20\n9\t7\t1\t5\n10\t10\t5\t10\n10\t9\t5\t10\n";
    let read = with_catalogue(inter, item);
    assert_eq!(shown(&read.dataset), ["9: 7", "10: 9 10 2"]);
    assert_eq!(read.summary.bad_rows, []);
    assert_eq!(
        items(&read),
        [
            "2 \"\" -",
            "7 \"Misérables, Les\" 1995 Drama|Musical",
            "9 \"Land Before Time III\" 1995 Animation|Children's",
            // In the log only.
            "10 \"\" -",
            // In the catalogue only.
            "11 \"\" -",
            "12 \"Unknown\" 2011 Thriller",
        ]
    );
}

#[test]
fn the_item_of_a_catalogue_is_the_column_with_the_ids_of_the_log() {
    const ORDERS: &str = "Email,Lineitem sku,Paid at\nu,S-1,1\nu,S-2,2\n";
    const PRODUCTS: &str = "Handle,Title,Variant SKU\nmug,Mug,S-1\npot,Pot,S-2\n";
    let read = with_catalogue(ORDERS, PRODUCTS);
    assert_eq!(items(&read), ["S-1 \"Mug\" -", "S-2 \"Pot\" -"]);
    assert!(read.summary.to_string().contains("item: Variant SKU"), "{}", read.summary);
    assert!(read.summary.to_string().contains("Handle 0, Variant SKU 2"), "{}", read.summary);

    let files = Files::new(&[("log", ORDERS.as_bytes()), ("items", PRODUCTS.as_bytes())]);
    let named = |column: &str| {
        let mut options = files.options(&["log"]);
        options.catalogue = vec![files.path("items")];
        options.columns.catalogue_item = Some(column.to_owned());
        import(&options)
    };
    assert_eq!(items(&named("variant_sku").unwrap()), items(&read));
    let error = named("Handle").unwrap_err();
    assert!(matches!(error, DatasetError::NoItemInCatalogue { items: 2, .. }), "{error}");
    for part in ["\"S-1\"", "Handle 0, Variant SKU 2", "--catalogue-item-column"] {
        assert!(error.to_string().contains(part), "{error}");
    }

    // A row number has all ids by chance; the log's own name is the better sign.
    let read = with_catalogue(LOG, "id,product_id,title\n1,7,A\n2,1,B\n");
    assert_eq!(items(&read), ["1 \"B\" -", "2 \"\" -", "7 \"A\" -"]);
    // The name alone is none.
    let read = with_catalogue(LOG, "product_id,sku,title\np7,1,A\np8,2,B\n");
    assert_eq!(items(&read), ["1 \"A\" -", "2 \"B\" -"]);
    // Of equal columns, the better name counts.
    let read = with_catalogue(LOG, "sku,item,title\n1,2,A\n2,1,B\n");
    assert_eq!(items(&read), ["1 \"B\" -", "2 \"A\" -"]);
}

#[test]
fn a_catalogue_with_few_items_of_the_log_is_warned_of() {
    let log = "user,item\nu,1\nu,2\nu,3\n";
    let read = with_catalogue(log, "id,title\n1,One\n");
    let note = &read.summary.notes[0];
    assert!(note.starts_with("warning: the catalogue has only 1 of the 3 items"), "{note}");
    let read = with_catalogue(log, "id,title\n1,One\n2,Two\n");
    assert_eq!(read.summary.notes, [] as [String; 0]);
}

#[test]
fn a_catalogue_file_without_sold_items_has_its_ids_where_the_others_have_them() {
    let files = Files::new(&[
        ("log", b"user,item\nu,1\nu,2\n"),
        ("old", b"handle,sku,title\nmug,1,Mug\npot,2,Pot\n"),
        ("new", b"sku,handle,id,title\n9,cup,x,Cup\n"),
    ]);
    let catalogue = vec![files.path("old"), files.path("new")];
    let read = import(&ImportOptions { catalogue, ..files.options(&["log"]) }).unwrap();
    assert_eq!(items(&read), ["1 \"Mug\" -", "2 \"Pot\" -", "9 \"Cup\" -"]);
}

#[test]
fn titles_and_descriptions_are_plain_text() {
    let catalogue = "Handle,Title,Body (HTML),Vendor\n\
        a,\"Salt &amp; <b>Pepper</b> (1995)\",\"<style>p{}</style><p>Two<br>lines</p>\",B&amp;B\n";
    let read = crate::with_catalogue("user,item\nu,a\n", catalogue);
    assert_eq!(crate::items(&read), ["a \"Salt & Pepper\" 1995"]);
    let item = &read.dataset.catalogue.items()[0];
    assert_eq!((item.description.as_str(), item.brand.as_str()), ("Two lines", "B&B"));
}

#[test]
fn years_that_are_not_given_are_no_bad_rows() {
    let read = crate::with_catalogue(
        "user,item\nu,a\n",
        "id,title,year\na,A,n/a\nb,B,unknown\nc,C,-\nd,D,soon\n",
    );
    assert_eq!(read.summary.bad_rows.len(), 1, "{:?}", read.summary.bad_rows);
    assert!(read.summary.bad_rows[0].reason.contains("soon"));
}

#[test]
fn of_a_title_in_several_languages_one_is_taken() {
    let catalogue = r#"[{"id":"a","title":{"en":"C","de":"D"},"description":{"de":"Text"},"vendor":{"name":"V"}},
        {"id":"b","title":{"de":"E"}}]"#;
    let read = crate::with_catalogue("user,item\nu,a\nu,b\n", catalogue);
    assert_eq!(crate::items(&read), ["a \"C\" -", "b \"E\" -"]);
    assert_eq!(read.dataset.catalogue.items()[0].description, "Text");
}
