use std::collections::HashMap;

/// Items, each with the groups of rows in which it occurs. Few different sets of groups occur, so an
/// item has the number of its set.
#[derive(Default)]
pub(super) struct ItemUses {
    items: HashMap<Box<str>, u32>,
    sets: Vec<Vec<u32>>,
    numbers: HashMap<Vec<u32>, u32>,
    /// The set that is both of two.
    unions: HashMap<(u32, u32), u32>,
}

impl ItemUses {
    /// The number of a set of groups, which are in order.
    pub(super) fn set(&mut self, groups: Vec<u32>) -> u32 {
        if let Some(&number) = self.numbers.get(&groups) {
            return number;
        }
        let number = self.sets.len() as u32;
        self.sets.push(groups.clone());
        self.numbers.insert(groups, number);
        number
    }

    /// Notes that an item occurs in all groups of a set.
    pub(super) fn add(&mut self, item: &str, set: u32) {
        match self.items.get(item) {
            None => {
                self.items.insert(item.into(), set);
            }
            Some(&known) if known == set => {}
            Some(&known) => {
                let both = self.union(known, set);
                if let Some(known) = self.items.get_mut(item) {
                    *known = both;
                }
            }
        }
    }

    fn union(&mut self, left: u32, right: u32) -> u32 {
        if let Some(&both) = self.unions.get(&(left, right)) {
            return both;
        }
        let mut groups = self.sets[left as usize].clone();
        groups.extend(&self.sets[right as usize]);
        groups.sort_unstable();
        groups.dedup();
        let both = self.set(groups);
        self.unions.insert((left, right), both);
        both
    }

    /// The groups of each set, by its number.
    pub(super) fn sets(&self) -> &[Vec<u32>] {
        &self.sets
    }

    /// The items with the numbers of their sets.
    pub(super) fn items(&self) -> impl Iterator<Item = (&str, u32)> {
        self.items.iter().map(|(item, set)| (&**item, *set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_an_item_are_collected() {
        let mut uses = ItemUses::default();
        for (item, group) in [("a", 0), ("a", 2), ("b", 2), ("b", 0), ("c", 2), ("a", 2)] {
            let set = uses.set(vec![group]);
            uses.add(item, set);
        }
        let mut items: Vec<_> =
            uses.items().map(|(item, set)| (item, uses.sets()[set as usize].clone())).collect();
        items.sort();
        assert_eq!(items, [("a", vec![0, 2]), ("b", vec![0, 2]), ("c", vec![2])]);
    }
}
