//! Users by the kind of the column that names them.

use std::rc::Rc;

use super::id::Names;

/// Kinds of columns that name a user; the order is that of the names of columns.
pub(super) const KINDS: [&str; 4] = ["user", "visitor", "session", "name"];

/// Distinct users. The same text in columns of two kinds is two users.
#[derive(Default)]
pub(super) struct Users {
    names: [Names; KINDS.len()],
    /// Number of each name of a kind.
    numbers: [Vec<u32>; KINDS.len()],
    known: Vec<User>,
}

struct User {
    kind: usize,
    /// Position in the names of the kind.
    name: u32,
    /// Whether a row without a value in its user column has this one.
    fills: bool,
}

impl Users {
    /// The number of a user, from 0.
    pub(super) fn number(&mut self, kind: usize, name: &str, fills: bool) -> u32 {
        let name = self.names[kind].number(name);
        self.register(kind, name, fills)
    }

    /// Names of a kind are registered in the order of their numbers.
    fn register(&mut self, kind: usize, name: u32, fills: bool) -> u32 {
        if name as usize == self.numbers[kind].len() {
            self.numbers[kind].push(self.known.len() as u32);
            self.known.push(User { kind, name, fills: false });
        }
        let number = self.numbers[kind][name as usize];
        self.known[number as usize].fills |= fills;
        number
    }

    pub(super) fn name(&self, number: u32) -> &Rc<str> {
        let user = &self.known[number as usize];
        &self.names[user.kind].names()[user.name as usize]
    }

    /// Adds the users of one file to `all`; returns their numbers there.
    pub(super) fn merge_into(&self, all: &mut Self) -> Vec<u32> {
        let mut numbers = vec![0; self.known.len()];
        for (kind, names) in self.names.iter().enumerate() {
            let merged = names.merge_into(&mut all.names[kind]);
            for (name, &number) in merged.into_iter().zip(&self.numbers[kind]) {
                let fills = self.known[number as usize].fills;
                numbers[number as usize] = all.register(kind, name, fills);
            }
        }
        numbers
    }

    /// The names of all users in the dataset, and which of them each user has. A visitor of a row
    /// without a user keeps its name, unless a user has it: then it is `visitor:NAME`. Users of
    /// different files are the same if their names are.
    pub(super) fn into_names(self) -> (Names, Vec<u32>) {
        let mut names = Names::default();
        let numbers = (0..self.known.len() as u32).map(|number| {
            let (user, name) = (&self.known[number as usize], self.name(number));
            let taken = self.names[..user.kind].iter().any(|names| names.contains(name));
            if user.fills && taken {
                names.number(&prefixed(user.kind, name))
            } else {
                names.number(name)
            }
        });
        let numbers = numbers.collect();
        (names, numbers)
    }
}

/// The name of a visitor or session whose own name is that of a user.
pub(super) fn prefixed(kind: usize, name: &str) -> String {
    format!("{}:{name}", KINDS[kind])
}
