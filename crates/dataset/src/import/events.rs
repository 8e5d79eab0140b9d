//! Event types: which of them say that a user is interested in an item, and how much.

use super::columns::tokens;

/// How an event type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Interest; more of it with a greater weight.
    Interest(u32),
    /// The opposite, such as a dislike or a return.
    Against,
    /// Neither, such as an impression or a search.
    Neutral,
    /// The word is not known.
    Unknown,
}

/// Words of interest by weight. The documentation has the same table.
const INTEREST: [(u32, &[&str]); 5] = [
    (
        5,
        &[
            "purchase",
            "purchased",
            "buy",
            "bought",
            "order",
            "ordered",
            "ordercompleted",
            "orderplaced",
            "transaction",
            "sale",
            "sold",
            "paid",
            "payment",
            "conversion",
            "checkoutcompleted",
            "completepurchase",
            "rent",
            "rented",
            "book",
            "booked",
            "booking",
            "borrow",
            "borrowed",
            "download",
            "downloaded",
            "install",
            "installed",
        ],
    ),
    (4, &["checkout", "begincheckout", "checkoutstarted", "initiatecheckout"]),
    (
        3,
        &[
            "cart",
            "addtocart",
            "addedtocart",
            "addcart",
            "cartadd",
            "basket",
            "addtobasket",
            "addedtobasket",
            "add",
            "added",
            "wishlist",
            "addtowishlist",
            "addedtowishlist",
            "favorite",
            "favourite",
            "fav",
            "addtofavorites",
            "like",
            "liked",
            "love",
            "save",
            "saved",
            "bookmark",
            "bookmarked",
            "share",
            "shared",
            "follow",
            "upvote",
            "thumbsup",
            "star",
        ],
    ),
    (
        2,
        &[
            "click", "clicked", "select", "selected", "tap", "open", "opened", "play", "played",
            "watch", "watched", "listen", "listened", "stream", "streamed", "read", "rate",
            "rated", "rating", "review", "reviewed", "visit", "visited",
        ],
    ),
    (1, &["view", "viewed", "pageview", "pv", "browse", "browsed", "viewcontent", "viewdetail"]),
];

/// Words that take interest back, or deny it.
const AGAINST: &[&str] = &[
    "dislike",
    "disliked",
    "return",
    "returned",
    "refund",
    "refunded",
    "orderrefunded",
    "remove",
    "removed",
    "removefromcart",
    "removedfromcart",
    "cartremove",
    "removefrombasket",
    "removefromwishlist",
    "removedfromwishlist",
    "unlike",
    "unfavorite",
    "unfavourite",
    "unsave",
    "unfollow",
    "downvote",
    "thumbsdown",
    "skip",
    "skipped",
    "hide",
    "hidden",
    "block",
    "blocked",
    "notinterested",
    "cancel",
    "canceled",
    "cancelled",
    "ordercancelled",
    "ordercanceled",
    "delete",
    "deleted",
    "uninstall",
    "uninstalled",
    "unsubscribe",
];

/// Words for items that were shown, or for events that are about no single item.
const NEUTRAL: &[&str] = &[
    "impression",
    "impressions",
    "exposure",
    "exposed",
    "show",
    "shown",
    "display",
    "displayed",
    "served",
    "viewlist",
    "listviewed",
    "viewresults",
    "search",
    "searched",
    "viewsearchresults",
    "login",
    "logout",
    "signup",
    "scroll",
    "sessionstart",
];

/// Words that name what the event is about, as in `Product Viewed` and `view_item`.
const OBJECTS: &[&str] = &[
    "product", "products", "item", "items", "movie", "track", "song", "article", "detail",
    "details",
];

/// The weight of a view.
pub(super) const VIEW: u32 = 1;

/// What a word for an event type means.
pub(super) fn meaning(word: &str) -> Meaning {
    let words = tokens(word);
    let whole = words.concat();
    let without_objects: String =
        words.iter().filter(|word| !OBJECTS.contains(&word.as_str())).map(String::as_str).collect();
    for word in [whole.as_str(), without_objects.as_str()] {
        for (weight, known) in INTEREST {
            if known.contains(&word) {
                return Meaning::Interest(weight);
            }
        }
        if AGAINST.contains(&word) {
            return Meaning::Against;
        }
        if NEUTRAL.contains(&word) {
            return Meaning::Neutral;
        }
    }
    Meaning::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_tracking_tools_and_public_datasets_are_known() {
        for (word, expected) in [
            ("purchase", Meaning::Interest(5)),
            ("Order Completed", Meaning::Interest(5)),
            ("transaction", Meaning::Interest(5)),
            ("begin_checkout", Meaning::Interest(4)),
            ("addtocart", Meaning::Interest(3)),
            ("add_to_cart", Meaning::Interest(3)),
            ("Product Added", Meaning::Interest(3)),
            ("fav", Meaning::Interest(3)),
            ("select_item", Meaning::Interest(2)),
            ("Product Clicked", Meaning::Interest(2)),
            ("view", Meaning::Interest(1)),
            ("view_item", Meaning::Interest(1)),
            ("Product Viewed", Meaning::Interest(1)),
            ("pv", Meaning::Interest(1)),
            ("dislike", Meaning::Against),
            ("return", Meaning::Against),
            ("remove_from_cart", Meaning::Against),
            ("Product Removed", Meaning::Against),
            ("view_item_list", Meaning::Neutral),
            ("Impression", Meaning::Neutral),
            ("shirt", Meaning::Unknown),
            ("item", Meaning::Unknown),
            ("", Meaning::Unknown),
        ] {
            assert_eq!(meaning(word), expected, "{word}");
        }
    }

    #[test]
    fn no_word_has_two_meanings() {
        let mut words: Vec<&str> = INTEREST.iter().flat_map(|(_, words)| *words).copied().collect();
        words.extend(AGAINST);
        words.extend(NEUTRAL);
        words.sort_unstable();
        let twice: Vec<_> = words.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
}
