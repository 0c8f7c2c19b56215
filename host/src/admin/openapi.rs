//! The description of the API (OpenAPI 3.1), made of the handlers themselves.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{MEDIA_TYPE, Problem};
use super::routes;

const TITLE: &str = "Portcullis admin API";

const ABOUT: &str = "What the tenants of a Portcullis host are, what their mail met, and who may \
                     ask. What is another tenant's is not there: it is answered as what nobody has.";

/// The name of the scheme of tokens.
const TOKEN: &str = "token";

/// The description.
pub fn description() -> OpenApi {
    let (_, mut description) = routes::described().split_for_parts();
    let mut info = Info::new(TITLE, env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    description.info = info;
    let components = description.components.get_or_insert_with(Components::new);
    components.schemas.insert(
        Problem::name().into_owned(),
        <Problem as PartialSchema>::schema(),
    );
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
    let scopes: [&str; 0] = [];
    description.security = Some(vec![SecurityRequirement::new(TOKEN, scopes)]);
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            describe_problems(operation);
        }
    }
    description
}

/// Whatever else may come of it is a problem.
fn describe_problems(operation: &mut Operation) {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem = ResponseBuilder::new()
        .description("What went wrong (RFC 9457).")
        .content(MEDIA_TYPE, content)
        .build();
    let responses = &mut operation.responses.responses;
    responses.insert("default".to_owned(), RefOr::T(problem));
}
