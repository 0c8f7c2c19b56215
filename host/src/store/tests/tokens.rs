//! How many tokens there may be.

use super::*;
use crate::facts::TenantId;

fn new(number: usize, tenant: Option<&TenantId>) -> NewToken {
    NewToken {
        name: format!("n{number}"),
        role: match tenant {
            Some(_) => Role::Viewer,
            None => Role::Operator,
        },
        tenant: tenant.cloned(),
        expires: None,
    }
}

#[tokio::test]
async fn each_has_a_hundred_tokens_and_no_more() {
    let site = Site::new();
    site.write("acme.toml", "domains = [\"acme.example\"]\n");
    site.write("bank.toml", "domains = [\"bank.example\"]\n");
    let store = store(&site).await;
    apply(&store, &site).await;
    let [acme, bank]: [TenantId; 2] = ["acme", "bank"].map(|id| id.parse().expect("an id"));
    for whose in [Some(&acme), None] {
        let mut last = None;
        for number in 0..100 {
            let made = store.make_token(new(number, whose), "test").await;
            last = Some(made.expect("there is room").0);
        }
        let refused = store.make_token(new(100, whose), "test").await;
        let refused = refused.expect_err("it is the 101st").to_string();
        assert!(refused.contains("100"), "{refused}");
        // Whoever goes makes room.
        let last = last.expect("a token");
        assert!(store.revoke(&last, "test").await.expect("revoked"));
        let made = store.make_token(new(101, whose), "test").await;
        made.expect("there is room again");
    }
    let other = store.make_token(new(0, Some(&bank)), "test").await;
    other.expect("that is another's room");
}
