//! What there is, and what handles it.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::count::count;
use super::guard::{Origin, guard};
use super::input::BODY;
use super::problem::Problem;
use super::{
    Api, activation, apply, audit, dry_runs, erasures, explanations, lists, modules, node,
    patience, policies, receipts, reload, replays, reports, reruns, shadows, tenants, tokens,
    uploads, warnings, webhooks,
};

/// Every route with its description.
pub(super) fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(description))
        .routes(routes!(node::node))
        .routes(routes!(node::running))
        .routes(routes!(node::all_running))
        .routes(routes!(reload::reload))
        .routes(routes!(apply::apply))
        .routes(routes!(tenants::all))
        .routes(routes!(tenants::one, tenants::put, tenants::remove))
        .routes(routes!(tenants::put_own))
        .routes(routes!(policies::all))
        .routes(routes!(policies::one, policies::put, policies::remove))
        .routes(routes!(lists::all))
        .routes(routes!(lists::one, lists::put, lists::patch, lists::remove))
        .routes(routes!(lists::entries))
        .routes(routes!(modules::all))
        .routes(routes!(modules::one, uploads::put, activation::remove))
        .routes(routes!(uploads::revision))
        .routes(routes!(activation::activate))
        .routes(routes!(activation::roll_back))
        .routes(routes!(shadows::one, shadows::put, shadows::remove))
        .routes(routes!(dry_runs::run))
        .routes(routes!(replays::begin))
        .routes(routes!(replays::one, replays::cancel))
        .routes(routes!(explanations::of_question))
        .routes(routes!(explanations::of_receipt))
        .routes(routes!(receipts::all))
        .routes(routes!(receipts::one))
        .routes(routes!(reruns::rerun))
        .routes(routes!(reports::of_tenant))
        .routes(routes!(warnings::of_tenant))
        .routes(routes!(webhooks::make))
        .routes(routes!(erasures::erase))
        .routes(routes!(audit::all))
        .routes(routes!(tokens::all, tokens::make))
        .routes(routes!(tokens::one, tokens::revoke))
}

/// The same for requests that come this way, with the guard before all of them.
pub(super) fn router(api: Api, origin: Origin) -> Router {
    let (router, _) = described().split_for_parts();
    router
        .fallback(async |uri: Uri| Problem::no_route(uri.path()))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn(patience::bound))
        .layer(from_fn_with_state((api.clone(), origin), guard))
        .layer(from_fn_with_state(api.clone(), count))
        .with_state(api)
}

/// This description of the API.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "description",
    responses((status = 200, body = Object)))]
async fn description(State(api): State<Api>) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, api.description.to_string()).into_response()
}
