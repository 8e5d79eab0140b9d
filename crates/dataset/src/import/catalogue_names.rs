//! Names of the columns of a catalogue that are not the item, the best first.

/// Names are compared without case, separators and the boundaries of camelCase. Those of an
/// earlier tier win. Two columns of one tier are a contradiction, unless one is as good as the
/// other (see [`Role::first_wins`]).
pub(super) type Tiers = &'static [&'static [&'static str]];

pub(super) const TITLE: Tiers = &[
    &[
        "title",
        "movietitle",
        "itemtitle",
        "producttitle",
        "booktitle",
        "articletitle",
        "songtitle",
        "tracktitle",
        "headline",
    ],
    &[
        "name",
        "itemname",
        "productname",
        "proddesc",
        "prodname",
        "displayname",
        "trackname",
        "songname",
        "artistname",
        "label",
    ],
    &["description", "productdescription", "itemdescription"],
];

pub(super) const YEAR: Tiers = &[
    &["year", "releaseyear", "publicationyear", "yearofpublication", "publishedyear"],
    &["releasedate", "publicationdate", "publishdate", "premiered", "published"],
];

pub(super) const CATEGORIES: Tiers = &[
    &["genres", "genre", "class"],
    &[
        "categories",
        "category",
        "categoryname",
        "categorycode",
        "producttype",
        "producttypename",
        "productcategory",
        "itemcategory",
        "department",
        "maincategory",
    ],
    &["tags", "collection", "brand"],
];

pub(super) const BRAND: Tiers = &[
    &["brand", "brandname", "manufacturer", "maker", "vendor", "publisher", "author", "artist"],
    &["artistname", "authorname", "manufacturername", "vendorname", "designer", "creator"],
];

pub(super) const DESCRIPTION: Tiers = &[
    &["description", "productdescription", "itemdescription", "longdescription"],
    &[
        "bodyhtml",
        "desc",
        "detaildesc",
        "shortdescription",
        "overview",
        "synopsis",
        "plot",
        "abstract",
    ],
    &["summary", "body", "text", "features"],
];
