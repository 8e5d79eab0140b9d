//! A real language model, if `TEST_GGUF` is set to its path.

use std::path::PathBuf;

use tandem_generator::{LoadOptions, Model, branch_scores::ExpertWeights};

use crate::support::{ask, assert_same, catalogue, items};

const FILMS: [&str; 40] = [
    "Star Wars",
    "Empire Strikes Back, The",
    "Return of the Jedi",
    "Star Trek: First Contact",
    "Star Trek: The Wrath of Khan",
    "Alien",
    "Aliens",
    "Blade Runner",
    "Terminator, The",
    "Terminator 2: Judgment Day",
    "Godfather, The",
    "Godfather: Part II, The",
    "Casablanca",
    "Gone with the Wind",
    "Sleepless in Seattle",
    "When Harry Met Sally...",
    "Pretty Woman",
    "Cinderella",
    "Snow White and the Seven Dwarfs",
    "Aladdin",
    "Lion King, The",
    "Beauty and the Beast",
    "Toy Story",
    "Fargo",
    "Pulp Fiction",
    "Reservoir Dogs",
    "Silence of the Lambs, The",
    "Psycho",
    "Vertigo",
    "Rear Window",
    "Birds, The",
    "Shining, The",
    "Scream",
    "Scream 2",
    "Titanic",
    "Twister",
    "Jaws",
    "Jaws 2",
    "Sense and Sensibility",
    "Emma",
];

fn real_model() -> Option<PathBuf> {
    let path = std::env::var_os("TEST_GGUF").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: TEST_GGUF is not set to the path of a language model");
    }
    path
}

#[test]
fn the_lists_of_a_real_model_depend_on_the_history() {
    let Some(gguf) = real_model() else { return };
    let catalogue = catalogue(&FILMS, &[0; 40]);
    // The language model alone, without popularity.
    let weights = ExpertWeights { lm: 1.0, prior: 0.0, unconditional: 0.0 };
    let options = LoadOptions { weights, unconditional_histories: 0, ..LoadOptions::default() };
    let model = Model::load(&gguf, catalogue.clone(), &options).unwrap();
    assert_eq!(model.info().sha256.len(), 64);
    let mut generator = model.generator().unwrap();
    let space = ask(generator.as_mut(), &catalogue, &items([0, 1, 8]), &[], 50);
    assert_same(&space, &ask(generator.as_mut(), &catalogue, &items([0, 1, 8]), &[], 50));
    let tales = ask(generator.as_mut(), &catalogue, &items([17, 18, 21]), &[], 50);
    let rank = |list: &tandem_generator::Generation, title: &str| {
        let item = FILMS.iter().position(|film| *film == title).unwrap();
        list.candidates.iter().position(|ranked| ranked.item.position() == item).unwrap()
    };
    assert!(
        rank(&space, "Terminator 2: Judgment Day") < rank(&tales, "Terminator 2: Judgment Day")
    );
    assert!(rank(&tales, "Lion King, The") < rank(&space, "Lion King, The"));
    assert!(rank(&tales, "Aladdin") < rank(&space, "Aladdin"));
}
