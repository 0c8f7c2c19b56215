//! The numbers to look at first.

use maud::{Markup, html};

use crate::report::Traffic;
use crate::report::figures::{count, share};

/// A list of them.
pub(super) fn list(total: &Traffic) -> Markup {
    let all = total.messages;
    let secured = total.secured();
    let tile = |name: &str, figure: String, about: String, class: &str| {
        html! {
            div.tile {
                dt { (name) }
                dd class=(class) { (figure) }
                dd.about { (about) }
            }
        }
    };
    let bad = |number: u64| if number > 0 { "bad" } else { "" };
    let of_secured = "of those over TLS".to_owned();
    html! {
        dl.tiles {
            (tile("Over TLS", share(secured, all), format!("{} messages", count(secured)), ""))
            (tile("TLS 1.3", share(total.modern(), secured), of_secured.clone(), ""))
            (tile("Post-quantum", share(total.post_quantum, secured), of_secured, ""))
            (tile("Certificate", share(total.certificates.presented, all),
                format!("{} trusted", share(total.certificates.trusted, all)), ""))
            (tile("Refused", count(total.refused), share(total.refused, all), bad(total.refused)))
            (tile("Would be refused", count(total.would_be_refused),
                format!("of {} monitored", count(total.monitored)),
                bad(total.would_be_refused)))
        }
    }
}
