//! Column names that are recognised.

pub(super) use super::catalogue_names::Tiers;
use super::catalogue_names::{BRAND, CATEGORIES, DESCRIPTION, TITLE, YEAR};

/// What a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    User,
    Item,
    Time,
    Event,
    Rating,
    Quantity,
    Title,
    Year,
    Categories,
    Brand,
    Description,
}

impl Role {
    /// What it is, with its article.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::User => "the user",
            Self::Item => "the item",
            Self::Time => "the time",
            Self::Event => "the event type",
            Self::Rating => "the rating",
            Self::Quantity => "the quantity",
            Self::Title => "the title",
            Self::Year => "the year",
            Self::Categories => "the categories",
            Self::Brand => "the brand",
            Self::Description => "the description",
        }
    }

    /// The option that names its column.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::User => "--user-column",
            Self::Item => "--item-column",
            Self::Time => "--time-column",
            Self::Event => "--event-column",
            Self::Rating => "--rating-column",
            Self::Quantity => "--quantity-column",
            Self::Title => "--title-column",
            Self::Year | Self::Categories | Self::Brand | Self::Description => "--category-column",
        }
    }

    /// Whether the first of several columns is as good as any. A wrong user, item, time or event
    /// type gives a wrong dataset, so these are refused instead.
    pub(super) fn first_wins(self) -> bool {
        !matches!(self, Self::User | Self::Item | Self::Time | Self::Event)
    }

    /// Names that are the whole name of a column.
    pub(super) fn exact(self) -> Tiers {
        match self {
            Self::User => USER,
            Self::Item => ITEM,
            Self::Time => TIME,
            Self::Event => EVENT,
            Self::Rating => RATING,
            Self::Quantity => &[&["quantity", "qty"]],
            Self::Title => TITLE,
            Self::Year => YEAR,
            Self::Categories => CATEGORIES,
            Self::Brand => BRAND,
            Self::Description => DESCRIPTION,
        }
    }

    /// Names that can also follow a prefix, as in `fk_user_id`.
    pub(super) fn suffixes(self) -> Tiers {
        match self {
            Self::User => &[USER_IDS, VISITOR_IDS, SESSION_IDS],
            Self::Item => &[ITEM_IDS, VARIANT_IDS, ELEMENT_IDS],
            Self::Time => &[&["timestamp", "ts"], &["datetime", "time", "at"], &["date"]],
            Self::Event => &[&["eventtype", "eventname", "actiontype"]],
            Self::Rating => &[&["rating", "stars"]],
            Self::Quantity => &[&["quantity", "qty"]],
            Self::Title => &[&["title"], &["name"]],
            Self::Year => &[&["year"]],
            Self::Categories => &[&["genres", "genre"], &["categories", "category"]],
            Self::Brand => &[&["brand"], &["manufacturer"]],
            Self::Description => &[&["description"]],
        }
    }
}

const USER_IDS: &[&str] = &[
    "userid",
    "uid",
    "customerid",
    "memberid",
    "accountid",
    "buyerid",
    "shopperid",
    "reviewerid",
    "subscriberid",
    "playerid",
    "listenerid",
    "readerid",
    "viewerid",
    "personid",
    "profileid",
    "householdid",
    "userkey",
    "customerkey",
    "householdkey",
];
const VISITOR_IDS: &[&str] = &[
    "visitorid",
    "userpseudoid",
    "fullvisitorid",
    "anonymousid",
    "distinctid",
    "deviceid",
    "cookieid",
    "clientid",
    "browserid",
];
const SESSION_IDS: &[&str] = &["sessionid", "visitid", "sessionkey", "usersession"];
const USER: Tiers = &[
    &[
        "user",
        "userid",
        "uid",
        "useridentifier",
        "userkey",
        "usr",
        "userindex",
        "useridx",
        "customer",
        "customerid",
        "custid",
        "customernumber",
        "customerkey",
        "member",
        "memberid",
        "account",
        "accountid",
        "buyer",
        "buyerid",
        "shopper",
        "shopperid",
        "reviewer",
        "reviewerid",
        "subscriber",
        "subscriberid",
        "player",
        "playerid",
        "listener",
        "listenerid",
        "reader",
        "readerid",
        "viewer",
        "viewerid",
        "person",
        "personid",
        "profile",
        "profileid",
        "household",
        "householdid",
        "householdkey",
        "msno",
    ],
    &[
        "visitor",
        "visitorid",
        "userpseudoid",
        "fullvisitorid",
        "anonymous",
        "anonymousid",
        "distinctid",
        "device",
        "deviceid",
        "cookie",
        "cookieid",
        "client",
        "clientid",
        "browserid",
    ],
    &["session", "sessionid", "visit", "visitid", "sessionkey", "usersession"],
    &["username", "login", "email", "useremail", "customeremail", "reviewername"],
];

/// Which group of names a column of users has, from 0.
pub(super) fn user_kind(words: &[String]) -> usize {
    let whole = words.concat();
    let exact = USER.iter().position(|names| names.contains(&whole.as_str()));
    let is_suffix = |names: &&[&str]| {
        (1..words.len()).any(|from| names.contains(&words[from..].concat().as_str()))
    };
    exact.or_else(|| Role::User.suffixes().iter().position(is_suffix)).unwrap_or(0)
}

/// Whether a column can name the user of a row whose user column is empty. Names such as `device`
/// can hold a kind of device, which many visitors share.
pub(super) fn fills_user(words: &[String]) -> bool {
    const FURTHER: &[&str] =
        &["visitor", "cookie", "session", "email", "useremail", "customeremail"];
    let whole = words.concat();
    [VISITOR_IDS, SESSION_IDS, FURTHER].iter().any(|names| names.contains(&whole.as_str()))
}

const ITEM_IDS: &[&str] = &[
    "itemid",
    "productid",
    "movieid",
    "filmid",
    "articleid",
    "bookid",
    "songid",
    "trackid",
    "videoid",
    "gameid",
    "contentid",
    "newsid",
    "courseid",
    "recipeid",
    "businessid",
    "restaurantid",
    "venueid",
    "poiid",
    "placeid",
    "offerid",
    "listingid",
    "showid",
    "animeid",
    "artistid",
    "albumid",
    "podcastid",
    "appid",
    "postid",
    "documentid",
    "docid",
    "mediaid",
    "asin",
];
const VARIANT_IDS: &[&str] = &["variantid", "sku", "skuid"];
/// The own id of an element of a list of items. That of an order's line is not the item's.
const ELEMENT_IDS: &[&str] = &["itemsid", "productsid", "contentsid"];
const ITEM: Tiers = &[
    &[
        "item",
        "itemid",
        "itemidentifier",
        "itemkey",
        "itemnumber",
        "itemcode",
        "itemindex",
        "itemidx",
        "iid",
        "product",
        "productid",
        "productidentifier",
        "productkey",
        "productnumber",
        "productcode",
        "prodid",
        "pid",
        "asin",
        "parentasin",
        "movie",
        "movieid",
        "film",
        "filmid",
        "article",
        "articleid",
        "articlenumber",
        "book",
        "bookid",
        "song",
        "songid",
        "track",
        "trackid",
        "video",
        "videoid",
        "game",
        "gameid",
        "contentid",
        "news",
        "newsid",
        "course",
        "courseid",
        "recipe",
        "recipeid",
        "business",
        "businessid",
        "restaurant",
        "restaurantid",
        "venue",
        "venueid",
        "poi",
        "poiid",
        "place",
        "placeid",
        "location",
        "locationid",
        "offer",
        "offerid",
        "listing",
        "listingid",
        "show",
        "showid",
        "anime",
        "animeid",
        "artist",
        "artistid",
        "album",
        "albumid",
        "podcastid",
        "app",
        "appid",
        "post",
        "postid",
        "document",
        "documentid",
        "docid",
        "media",
        "mediaid",
        "stockcode",
        "clickarticleid",
    ],
    &["sku", "skuid", "variant", "variantid", "isbn", "ean", "gtin", "upc", "barcode"],
    &[
        "itemname",
        "productname",
        "movietitle",
        "itemtitle",
        "producttitle",
        "trackname",
        "songname",
        "artistname",
        "booktitle",
    ],
    ELEMENT_IDS,
];
/// The option that names the item's column of a catalogue.
pub(super) const CATALOGUE_ITEM_OPTION: &str = "--catalogue-item-column";
/// Further names of the item in a catalogue, where a row's own id is the item's.
pub(super) const CATALOGUE_ITEM: Tiers = &[&["id", "code", "number"], &["handle", "slug"]];

const TIME: Tiers = &[
    &[
        "timestamp",
        "ts",
        "eventtime",
        "eventtimestamp",
        "timestampms",
        "tsms",
        "timestampmicros",
        "unixtime",
        "unixtimestamp",
        "unixreviewtime",
        "epoch",
        "epochms",
        "timems",
        "clicktimestamp",
        "tdat",
        "servertimestamp",
        "utctimestamp",
    ],
    &[
        "time",
        "datetime",
        "dateandtime",
        "dt",
        "datum",
        "utctime",
        "timeutc",
        "datetimeutc",
        "localtime",
        "timelocal",
        "servertime",
        "utc",
        "occurredat",
        "happenedat",
    ],
    &["date", "day", "eventdate", "eventday"],
    &[
        "createdat",
        "created",
        "createdtime",
        "createdate",
        "creationdate",
        "creationtime",
        "createdon",
        "insertedat",
        "loggedat",
        "orderdate",
        "ordertime",
        "purchasedate",
        "purchasetime",
        "purchasedat",
        "transactiondate",
        "transactiontime",
        "invoicedate",
        "visittime",
        "reviewtime",
        "reviewdate",
        "ratingtime",
        "ratingdate",
        "ratedat",
        "viewedat",
        "clickedat",
        "clicktime",
        "playedat",
        "watchedat",
        "addedat",
        "boughtat",
        "orderedat",
        "receivedat",
        "sentat",
        "originaltimestamp",
    ],
    &["when"],
    &["updatedat", "updated", "modifiedat", "modified", "lastmodified", "lastupdated"],
];

const EVENT: Tiers = &[
    &[
        "eventtype",
        "eventname",
        "actiontype",
        "actionname",
        "behaviortype",
        "behaviourtype",
        "feedbacktype",
        "interactiontype",
        "activitytype",
    ],
    &["event", "action", "behavior", "behaviour", "feedback", "interaction", "activity", "verb"],
    &["type", "kind"],
];

const RATING: Tiers = &[
    &[
        "rating",
        "ratings",
        "userrating",
        "bookrating",
        "reviewrating",
        "ratingvalue",
        "movierating",
    ],
    &["stars", "score", "overall", "reviewscore", "preference"],
];
