//! The page of text that ends a quickstart.

use std::fmt::Write as _;

use super::{
    Measured,
    measure::{Figures, Gain},
};

/// What the page tells beside the figures.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    /// What was read.
    pub(crate) read: &'a str,
    pub(crate) measured: &'a Measured,
    /// Folder of the releases, as it was given.
    pub(crate) out: &'a str,
    /// Name of the release in use.
    pub(crate) release: &'a str,
    /// Address of the server.
    pub(crate) address: &'a str,
    /// Whether the server starts now.
    pub(crate) serves: bool,
    /// Whether the models use the texts of the items.
    pub(crate) has_texts: bool,
}

/// The page, about 40 lines.
pub(crate) fn page(page: &Page<'_>) -> String {
    let Page { read, measured, out, release, address, serves, has_texts } = page;
    let mut text = String::from("\nWhat was read\n");
    for line in read.lines() {
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(
        text,
        "\nQuality on {} held-out interactions: the newest of each user, which no measured model has seen\n\n  \
         {:<42} NDCG@10  HR@10",
        thousands(measured.targets),
        ""
    );
    let calls = format!("both together, a call after {} of clicks", percent(measured.call_share));
    let (on_device, in_cloud) = if *has_texts {
        ("small model with texts, on the device", "language model with counts and texts")
    } else {
        ("small model, on the device", "language model with counts, in the cloud")
    };
    let rows: [(&str, &Figures); 6] = [
        ("popularity", &measured.popularity),
        ("co-occurrence", &measured.co_occurrence),
        ("Markov chain (what followed the last item)", &measured.markov_chain),
        (on_device, &measured.small_model),
        (in_cloud, &measured.language_model),
        (&calls, &measured.together),
    ];
    for (name, figures) in rows {
        let _ = writeln!(text, "  {name:<42}  {:.4}  {:.4}", figures.ndcg10, figures.hr10);
    }
    let _ = writeln!(
        text,
        "\n  {}\n  The release has the same models, trained a little longer on everything.",
        verdict(&measured.gain)
    );
    let server = if *serves {
        format!("  {address} shows the catalogue and live recommendations.\n")
    } else {
        format!(
            "  cloud-server --release {out}\n  Then open {address}: the catalogue and live recommendations.\n"
        )
    };
    let texts = if *has_texts {
        ""
    } else {
        "  Rank by titles and descriptions as well: add --embedder all-MiniLM-L6-v2.gguf (docs/ranking-signals.md).\n"
    };
    let _ = write!(
        text,
        "\nThe server, with release {release}\n{server}\
         \nIn a page (npm package @tandem-rec/client)\n  \
         import {{ createRecommender }} from '@tandem-rec/client';\n  \
         const rec = await createRecommender({{ server: '{address}' }});\n\
         \nNext\n  \
         Train longer: the same command with --minutes 30; only the training is repeated.\n{texts}  \
         Let your shop's pages call the server: cloud-server --release {out} --allow-origin https://shop.example.com\n  \
         Record new events with consent: add --events log. Learn from them each night:\n  \
         tandem retrain --out {out} --events YOUR-FILES log --every 24h\n"
    );
    text
}

/// What the figures say: the gain over the best ranking without a model, and whether it is more
/// than chance.
fn verdict(gain: &Gain) -> String {
    /// Standard errors of a difference that chance gives in one case of 20.
    const TWO_SIDED: f64 = 1.96;
    let Gain { baseline, ndcg10, error } = gain;
    let difference = format!(
        "Both together, compared with {baseline}: NDCG@10 {ndcg10:+.4}, standard error {error:.4} (paired by user)."
    );
    let meaning = if *ndcg10 > TWO_SIDED * error {
        "They rank better."
    } else if *ndcg10 < -TWO_SIDED * error {
        "They rank worse: give more events or more --minutes."
    } else {
        "The difference may be chance."
    };
    format!("{difference}\n  {meaning}")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A number with commas, such as `1,000,000`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ndcg10: f64) -> Figures {
        Figures { ndcg10, hr10: 2.0 * ndcg10 }
    }

    fn gain(ndcg10: f64) -> Gain {
        Gain { baseline: "co-occurrence".into(), ndcg10, error: 0.01 }
    }

    fn measured(together: f64) -> Measured {
        Measured {
            targets: 1234,
            popularity: figures(0.02),
            co_occurrence: figures(0.05),
            markov_chain: figures(0.04),
            small_model: figures(0.06),
            language_model: figures(0.07),
            together: figures(together),
            ranks_together: Vec::new(),
            gain: gain(0.03),
            call_share: 0.094,
        }
    }

    #[test]
    fn numbers_have_commas() {
        let expected = ["0", "999", "1,000", "12,345", "1,000,000"];
        assert_eq!([0, 999, 1_000, 12_345, 1_000_000].map(thousands), expected);
    }

    #[test]
    fn the_page_has_the_figures_the_address_and_the_two_lines() {
        let text = page(&Page {
            read: "clicks.csv: 3,000 interactions\n",
            measured: &measured(0.08),
            out: "shop",
            release: "0123456789abcdef",
            address: "http://127.0.0.1:8080",
            serves: false,
            has_texts: false,
        });
        for part in [
            "  clicks.csv: 3,000 interactions\n",
            "on 1,234 held-out",
            "a call after 9 % of clicks",
            "0.0800  0.1600",
            "what followed the last item)  0.0400",
            "compared with co-occurrence: NDCG@10 +0.0300, standard error 0.0100",
            "cloud-server --release shop\n",
            "import { createRecommender } from '@tandem-rec/client';",
            "createRecommender({ server: 'http://127.0.0.1:8080' })",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_verdict_is_honest() {
        assert!(verdict(&gain(0.03)).contains("They rank better"));
        assert!(verdict(&gain(0.015)).contains("may be chance"));
        assert!(verdict(&gain(-0.03)).contains("They rank worse"));
    }
}
