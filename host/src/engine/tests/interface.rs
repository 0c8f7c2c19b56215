//! The interface in `wit/` beside the one that the kept module of each version was compiled
//! against: **what is published stays as it is**, for every module in the world was compiled
//! against it. What is added is no matter.
//!
//! That the kept modules run is shown beside this; here it is said which line of the
//! interface would have broken them.

use std::collections::BTreeSet;
use std::path::Path;

use wit_parser::{Function, Handle, PackageId, Resolve, Type, TypeDefKind};

/// The kept modules.
const KEPT: [(&str, &[u8]); 1] = [(
    "0.1.0",
    include_bytes!("../../../../tests/fixtures/policy-0.1.0.wasm"),
)];

#[test]
fn what_is_published_stays_as_it_is() {
    for (version, module) in KEPT {
        let (_, bound) = wit_component::metadata::decode(module).expect("it names its interface");
        let published = statements(&bound.resolve, policy_package(&bound.resolve));
        // Or else nothing was compared.
        let (endpoint, pins) = (
            "facts: record endpoint { address: string, port: u16 }",
            "demands: [method]requirements.certificate-pinned(self: borrow<requirements>, spki-sha256: list<string>)",
        );
        assert!(
            published.contains(endpoint) && published.contains(pins),
            "{published:#?}"
        );
        let (resolve, package) = interface();
        let now = statements(&resolve, package);
        let gone: Vec<&String> = published.difference(&now).collect();
        assert!(
            gone.is_empty(),
            "modules compiled against portcullis:policy@{version} no longer run: wit/ has not, \
             or has changed,\n    {}\nLeave what is published as it is: put what is new into a \
             method of a resource, or make a new version of the interface (wit/README.md)",
            gone.iter()
                .map(|line| line.as_str())
                .collect::<Vec<_>>()
                .join("\n    ")
        );
    }
}

/// The interface as it is in `wit/` now.
fn interface() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let (package, _) = resolve.push_dir(wit).expect("the interface can be read");
    (resolve, package)
}

fn policy_package(resolve: &Resolve) -> PackageId {
    let mut packages = resolve.packages.iter();
    let found = packages.find(|(_, package)| package.name.namespace == "portcullis");
    found.expect("a policy's interface is ours").0
}

/// Every type and function of a package, each as a line that says all of it.
fn statements(resolve: &Resolve, package: PackageId) -> BTreeSet<String> {
    let interfaces = resolve.packages[package].interfaces.iter();
    interfaces
        .flat_map(|(interface, id)| {
            let types = resolve.interfaces[*id].types.iter();
            let types = types.map(move |(name, id)| {
                let kind = &resolve.types[*id].kind;
                format!(
                    "{interface}: {} {name}{}",
                    kind.as_str(),
                    structure(resolve, kind)
                )
            });
            let functions = resolve.interfaces[*id].functions.values();
            let functions =
                functions.map(move |f| format!("{interface}: {}", signature(resolve, f)));
            types.chain(functions)
        })
        .collect()
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, shown(resolve, &param.ty)));
    let result = function
        .result
        .as_ref()
        // That it makes one of its own is in the name of a constructor.
        .filter(|_| !function.name.starts_with("[constructor]"))
        .map(|ty| format!(" -> {}", shown(resolve, ty)));
    let params = params.collect::<Vec<_>>().join(", ");
    format!("{}({params}){}", function.name, result.unwrap_or_default())
}

/// What is between the braces of a type, or behind its name.
fn structure(resolve: &Resolve, kind: &TypeDefKind) -> String {
    let some = |ty: &Option<Type>| {
        let ty = ty.as_ref();
        ty.map_or("_".to_owned(), |ty| shown(resolve, ty))
    };
    let listed = |members: Vec<String>| format!(" {{ {} }}", members.join(", "));
    match kind {
        TypeDefKind::Record(record) => listed(
            record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, shown(resolve, &field.ty)))
                .collect(),
        ),
        TypeDefKind::Variant(variant) => listed(
            variant
                .cases
                .iter()
                .map(|case| format!("{}({})", case.name, some(&case.ty)))
                .collect(),
        ),
        TypeDefKind::Enum(cases) => {
            listed(cases.cases.iter().map(|case| case.name.clone()).collect())
        }
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => {
            format!("<{}>", shown(resolve, &Type::Id(*id)))
        }
        TypeDefKind::Option(ty) | TypeDefKind::List(ty) => format!("<{}>", shown(resolve, ty)),
        TypeDefKind::Result(result) => {
            format!("<{}, {}>", some(&result.ok), some(&result.err))
        }
        TypeDefKind::Type(ty) => format!(" = {}", shown(resolve, ty)),
        TypeDefKind::Resource => String::new(),
        // What the interface does not use today.
        other => format!(" {other:?}"),
    }
}

fn shown(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let definition = &resolve.types[*id];
    match (&definition.name, &definition.kind) {
        (Some(name), _) => name.clone(),
        // A handle of one's own is written as the resource itself.
        (None, TypeDefKind::Handle(Handle::Own(resource))) => shown(resolve, &Type::Id(*resource)),
        (None, kind) => format!("{}{}", kind.as_str(), structure(resolve, kind)),
    }
}
