//! Writes a log of any size, for measurements of time and memory:
//! `cargo run --release -p tandem-dataset --example synthetic_log -- 20000 1000000 > events.csv`.
//!
//! Items are in groups of 50, of which a few are popular. A user has 20 interactions. The next one
//! is most often one of five items that follow the last one, else another item of the group, and
//! sometimes an item of another group.

use std::io::{self, BufWriter, Write};

use rand::{RngExt, SeedableRng, rngs::StdRng};

const GROUP: u32 = 50;
const PER_USER: u32 = 20;
/// Number of items that follow an item.
const FOLLOWERS: u32 = 5;

fn main() -> io::Result<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let (Some(Ok(items)), Some(Ok(interactions)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(io::Error::other("expected two numbers: items interactions"));
    };
    let mut rng = StdRng::seed_from_u64(1);
    let mut out = BufWriter::new(io::stdout().lock());
    writeln!(out, "user,item,timestamp")?;
    let mut item = 0;
    for number in 0..interactions {
        let (user, at) = (number / PER_USER, number % PER_USER);
        item = match rng.random_range(0.0..1.0) {
            chance if at == 0 || chance < 0.15 => popular(items, &mut rng),
            chance if chance < 0.7 => follower(item, items, rng.random_range(0..FOLLOWERS)),
            _ => (item / GROUP * GROUP + popular(GROUP, &mut rng)).min(items - 1),
        };
        let time = 1_700_000_000 + u64::from(user) * 7 + u64::from(at) * 60;
        writeln!(out, "u{user},i{item},{time}")?;
    }
    out.flush()
}

/// One of `count` numbers, small ones more often.
fn popular(count: u32, rng: &mut impl RngExt) -> u32 {
    rng.random_range(0..count).min(rng.random_range(0..count))
}

/// One of the items that follow `item`, in its group. The same ones each time.
fn follower(item: u32, items: u32, which: u32) -> u32 {
    let group = item / GROUP * GROUP;
    let place = (item % GROUP * 7 + which * 11 + item / GROUP) % GROUP;
    (group + place).min(items - 1)
}
