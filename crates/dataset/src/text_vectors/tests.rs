use super::*;
use crate::Item;

fn item(id: &str, title: &str, genres: &[&str]) -> Item {
    Item {
        title: title.to_owned(),
        genres: genres.iter().map(|&genre| genre.to_owned()).collect(),
        ..Item::untitled(id.into())
    }
}

fn vectors() -> (Catalogue, TextVectors) {
    let items = vec![item("a", "Tea {brand}", &["Food"]), item("b", "", &[])];
    let catalogue = Catalogue::new(items).unwrap();
    let texts: Vec<String> =
        catalogue.items().iter().map(|item| item_text(item, DEFAULT_TEMPLATE)).collect();
    let source = TextSource {
        model: "m".to_owned(),
        model_sha256: "0".repeat(64),
        pooling: "mean".to_owned(),
        template: DEFAULT_TEMPLATE.to_owned(),
    };
    let vectors = TextVectors::new(source, &catalogue, &texts, 2, &[3.0, 4.0, 0.0, 0.0]).unwrap();
    (catalogue, vectors)
}

#[test]
fn a_file_gives_back_vectors_of_length_one() {
    let (catalogue, vectors) = vectors();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.safetensors");
    vectors.write(&path).unwrap();
    let found = TextVectors::read(&path).unwrap();
    assert_eq!(found, vectors);
    let values = found.values();
    assert!((values[0] - 0.6).abs() < 1e-3 && (values[1] - 0.8).abs() < 1e-3);
    assert_eq!(values[2..], [0.0, 0.0]);
    assert_eq!(found.by_text()[text_hash("Tea {brand} (Food)").as_str()], values[..2]);
    found.check(&catalogue, &path).unwrap();
    let other = Catalogue::new(vec![item("c", "", &[])]).unwrap();
    let error = found.check(&other, &path).unwrap_err().to_string();
    assert!(
        error.contains("this catalogue (1 items)") && error.contains("tandem embed"),
        "{error}"
    );
}

#[test]
fn changed_texts_are_counted_and_refused_above_one_percent() {
    // 200 items with a text and one without.
    let shop = |changed: u32| {
        let title = |at| format!("Tea {at}{}", if at < changed { " new" } else { "" });
        let items = (0..200).map(|at| item(&at.to_string(), &title(at), &[]));
        Catalogue::new(items.chain([item("none", "", &[])]).collect()).unwrap()
    };
    let catalogue = shop(0);
    let texts: Vec<String> =
        catalogue.items().iter().map(|item| item_text(item, "{title}!")).collect();
    let source = TextSource { template: "{title}!".to_owned(), ..vectors().1.source };
    let vectors = TextVectors::new(source, &catalogue, &texts, 1, &[1.0; 201]).unwrap();
    let check = |changed| vectors.check_texts(&shop(changed), Path::new("v"));
    for changed in [0, 2] {
        let found = ChangedTexts { changed: changed as usize, texts: 200 };
        assert_eq!(check(changed).unwrap(), found);
    }
    let refused = check(3).unwrap_err().to_string();
    assert!(
        refused.contains("v: ") && refused.contains("3 of 200 texts have changed"),
        "{refused}"
    );
    // Reduced vectors are of the same texts.
    let reduced = vectors.reduced(1, &[1.0]).unwrap();
    assert!(reduced.check_texts(&shop(3), Path::new("v")).is_err());
    // All texts are gone.
    let bare = (0..200).map(|at| item(&at.to_string(), "", &[]));
    let bare = Catalogue::new(bare.chain([item("none", "", &[])]).collect()).unwrap();
    assert!(vectors.check_texts(&bare, Path::new("v")).is_err());
}

#[test]
fn a_reduced_file_says_how_further_vectors_are_reduced() {
    let (_, vectors) = vectors();
    let space = vectors.space();
    assert_eq!((space.model_dims(), space.of_model(&[0.0, 0.0])), (2, None));
    // The first number minus the second.
    let reduced = vectors.reduced(1, &[1.0, -1.0]).unwrap();
    assert_eq!(reduced.values(), [-1.0, 0.0]);
    assert_eq!((reduced.dims(), reduced.space().model_dims()), (1, 2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.safetensors");
    reduced.write(&path).unwrap();
    let found = TextVectors::read(&path).unwrap();
    assert_eq!(found, reduced);
    assert_eq!(found.space().of_model(&[9.0, 2.0]), Some(vec![1.0]));
    assert_eq!(found.space().of_model(&[1.0]), None);
    assert!(reduced.reduced(1, &[1.0]).is_err() && vectors.reduced(1, &[1.0]).is_err());
}

#[test]
fn damaged_files_and_vectors_are_refused() {
    let (catalogue, vectors) = vectors();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.safetensors");
    vectors.write(&path).unwrap();
    let good = fs::read(&path).unwrap();
    fs::write(&path, &good[..good.len() - 1]).unwrap();
    assert!(TextVectors::read(&path).unwrap_err().to_string().contains("run tandem embed again"));
    // The vectors are the last tensor but one in the file; F16 comes before U8.
    let mut nan = good.clone();
    let start = 8 + usize::try_from(u64::from_le_bytes(good[..8].try_into().unwrap())).unwrap();
    nan[start..start + 2].copy_from_slice(&f16::NAN.to_le_bytes());
    fs::write(&path, &nan).unwrap();
    assert!(TextVectors::read(&path).unwrap_err().to_string().contains("finite vectors"));
    assert!(TextVectors::read(&folder.path().join("none")).unwrap_err().blames_input());

    let of = |values: &[f32]| {
        let texts = vec![String::new(); 2];
        TextVectors::new(vectors.source.clone(), &catalogue, &texts, 2, values)
    };
    assert!(of(&[f32::NAN, 0.0, 0.0, 0.0]).unwrap_err().to_string().contains("item a"));
    assert!(of(&[0.0; 3]).is_err());
}
