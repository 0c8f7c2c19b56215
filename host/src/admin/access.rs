//! Who may do what. **This table is all there is of it**: what stands in no row is not
//! done, whoever asks.

use axum::http::Method;

use crate::facts::TenantId;
use crate::store::Role;

/// A row: who may do this.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) method: Method,
    /// As in the description, names of parameters in braces.
    pub(super) path: &'static str,
    pub(super) who: Who,
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Everybody, without a token.
    Everybody,
    /// At least this role. A path that names a tenant is for its own tokens and
    /// operators; on others a token meets only what is its tenant's.
    AtLeast(Role),
    /// Whoever owns the host: over the socket, without a token.
    Owner,
}

const fn rule(method: Method, path: &'static str, least: Role) -> Rule {
    Rule {
        method,
        path,
        who: Who::AtLeast(least),
    }
}

const GET: Method = Method::GET;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

pub(super) const RULES: &[Rule] = &[
    Rule {
        method: GET,
        path: "/v1/openapi.json",
        who: Who::Everybody,
    },
    rule(GET, "/v1/node", Role::Operator),
    rule(GET, "/v1/running", Role::Operator),
    rule(Method::POST, "/v1/reload", Role::Operator),
    Rule {
        method: Method::POST,
        path: "/v1/apply",
        who: Who::Owner,
    },
    rule(GET, "/v1/tenants", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}", Role::Viewer),
    rule(PUT, "/v1/tenants/{tenant}", Role::Operator),
    rule(DELETE, "/v1/tenants/{tenant}", Role::Operator),
    rule(PUT, "/v1/tenants/{tenant}/own", Role::Admin),
    rule(GET, "/v1/tenants/{tenant}/running", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}/policies", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}/policies/{policy}", Role::Viewer),
    rule(PUT, "/v1/tenants/{tenant}/policies/{policy}", Role::Admin),
    rule(
        DELETE,
        "/v1/tenants/{tenant}/policies/{policy}",
        Role::Admin,
    ),
    rule(GET, "/v1/tenants/{tenant}/lists", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}/lists/{list}", Role::Viewer),
    rule(
        GET,
        "/v1/tenants/{tenant}/lists/{list}/entries",
        Role::Viewer,
    ),
    rule(PUT, "/v1/tenants/{tenant}/lists/{list}", Role::Admin),
    rule(
        Method::PATCH,
        "/v1/tenants/{tenant}/lists/{list}",
        Role::Admin,
    ),
    rule(DELETE, "/v1/tenants/{tenant}/lists/{list}", Role::Admin),
    rule(GET, "/v1/tenants/{tenant}/modules", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}/modules/{module}", Role::Viewer),
    rule(PUT, "/v1/tenants/{tenant}/modules/{module}", Role::Author),
    rule(
        DELETE,
        "/v1/tenants/{tenant}/modules/{module}",
        Role::Author,
    ),
    rule(
        GET,
        "/v1/tenants/{tenant}/modules/{module}/revisions/{number}",
        Role::Viewer,
    ),
    rule(
        PUT,
        "/v1/tenants/{tenant}/modules/{module}/active",
        Role::Author,
    ),
    rule(
        Method::POST,
        "/v1/tenants/{tenant}/modules/{module}/rollback",
        Role::Author,
    ),
    rule(
        GET,
        "/v1/tenants/{tenant}/modules/{module}/shadow",
        Role::Viewer,
    ),
    rule(
        PUT,
        "/v1/tenants/{tenant}/modules/{module}/shadow",
        Role::Author,
    ),
    rule(
        DELETE,
        "/v1/tenants/{tenant}/modules/{module}/shadow",
        Role::Author,
    ),
    rule(Method::POST, "/v1/tenants/{tenant}/dry-runs", Role::Author),
    rule(Method::POST, "/v1/tenants/{tenant}/replays", Role::Author),
    rule(GET, "/v1/tenants/{tenant}/replays/{id}", Role::Viewer),
    rule(DELETE, "/v1/tenants/{tenant}/replays/{id}", Role::Author),
    rule(
        Method::POST,
        "/v1/tenants/{tenant}/explanations",
        Role::Viewer,
    ),
    rule(GET, "/v1/tenants/{tenant}/report", Role::Viewer),
    rule(GET, "/v1/tenants/{tenant}/warnings", Role::Viewer),
    rule(
        Method::POST,
        "/v1/tenants/{tenant}/webhook/secret",
        Role::Admin,
    ),
    rule(GET, "/v1/receipts", Role::Viewer),
    rule(GET, "/v1/receipts/{receipt}", Role::Viewer),
    rule(GET, "/v1/receipts/{receipt}/explanation", Role::Viewer),
    rule(Method::POST, "/v1/receipts/{receipt}/rerun", Role::Author),
    rule(Method::POST, "/v1/erasures", Role::Admin),
    rule(GET, "/v1/audit", Role::Admin),
    rule(GET, "/v1/tokens", Role::Admin),
    rule(Method::POST, "/v1/tokens", Role::Admin),
    rule(GET, "/v1/tokens/{id}", Role::Admin),
    rule(DELETE, "/v1/tokens/{id}", Role::Admin),
];

/// The row of this method and path.
pub(super) fn rule_of(method: &Method, path: &str) -> Option<&'static Rule> {
    // Whatever may be got may be asked for without its body.
    let method = if *method == Method::HEAD {
        &GET
    } else {
        method
    };
    let mut rules = RULES.iter();
    rules.find(|rule| rule.path == path && rule.method == *method)
}

/// The name of whoever owns the host. That of a token begins with `token`.
pub(super) const OWNER: &str = "socket";

/// Whoever asks, known by a token or by the socket.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// For the audit.
    pub(super) name: String,
    pub(super) role: Role,
    /// None for operators.
    pub(super) tenant: Option<TenantId>,
}

impl Caller {
    /// Whether there is such a tenant, for all that it may know.
    pub(super) fn may_see(&self, tenant: &str) -> bool {
        match (&self.tenant, self.role) {
            (None, role) => role == Role::Operator,
            (Some(own), _) => own.as_str() == tenant,
        }
    }

    pub(super) fn is_operator(&self) -> bool {
        self.tenant.is_none() && self.role == Role::Operator
    }

    /// Whether it is whoever owns the host, over the socket and without a token.
    pub(super) fn is_owner(&self) -> bool {
        self.is_operator() && self.name == OWNER
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_has_a_row_and_every_row_a_route() {
        let described = serde_json::to_value(super::super::description()).expect("JSON");
        let paths = described["paths"].as_object().expect("paths");
        let routes: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("methods").keys();
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let rows = RULES
            .iter()
            .map(|rule| format!("{} {}", rule.method, rule.path));
        assert_eq!(routes, rows.collect());
    }

    #[test]
    fn a_caller_without_a_tenant_sees_nothing_unless_it_is_an_operator() {
        let caller = |role, tenant: Option<&str>| Caller {
            name: "test".to_owned(),
            role,
            tenant: tenant.map(|id| id.parse().expect("an id")),
        };
        assert!(caller(Role::Operator, None).may_see("acme"));
        assert!(caller(Role::Viewer, Some("acme")).may_see("acme"));
        assert!(!caller(Role::Admin, Some("acme")).may_see("bank"));
        assert!(!caller(Role::Admin, None).may_see("acme"));
    }
}
