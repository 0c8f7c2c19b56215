//! The one line that makes a crate a policy.

/// Makes a crate a policy: exports its function, and describes it by the name, version
/// and description of its package.
///
/// | form | for |
/// | --- | --- |
/// | `policy!(decide);` | `fn decide(&Message) -> Result` |
/// | `policy!(decide, settings = Settings);` | `fn decide(&Message, &Settings) -> Result` |
/// | `policy!(decide, settings = Settings, check = check);` | the same, and `fn check(&Settings, &mut Faults)` |
///
/// Each may end with `name = "…"`, `description = "…"`, or both, which then stand for
/// those of the package: for a package that makes several modules, as its examples.
///
/// `Settings` implements serde's `Deserialize` and schemars' `JsonSchema`; the host
/// checks settings against that schema before it hands them to the policy. `check` says
/// what a schema cannot.
///
/// Exports exist on wasm32 alone, so that unit tests link natively; there the line
/// checks the types and nothing else. A module has one policy.
#[macro_export]
macro_rules! policy {
    ($decide:path $(, name = $name:literal)? $(, description = $description:literal)? $(,)?) => {
        const _: fn(&$crate::Message) -> $crate::Result = $decide;

        $crate::__policy! {
            name: [$($name)?],
            description: [$($description)?],
            schema: $crate::__export::no_settings_schema(),
            check: |settings| $crate::__export::expect_no_settings(settings)
                .map_err(|fault| ::std::vec![fault]),
            decide: |message, settings| {
                $crate::__export::expect_no_settings(settings)?;
                $decide(message)
            },
        }
    };
    (
        $decide:path, settings = $settings:ty
        $(, name = $name:literal)? $(, description = $description:literal)? $(,)?
    ) => {
        $crate::policy!(
            $decide, settings = $settings, check = $crate::__no_check
            $(, name = $name)? $(, description = $description)?
        );
    };
    (
        $decide:path, settings = $settings:ty, check = $check:path
        $(, name = $name:literal)? $(, description = $description:literal)? $(,)?
    ) => {
        const _: fn(&$crate::Message, &$settings) -> $crate::Result = $decide;
        const _: fn(&$settings, &mut $crate::Faults) = $check;

        $crate::__policy! {
            name: [$($name)?],
            description: [$($description)?],
            schema: $crate::settings_schema::<$settings>(),
            check: |settings| $crate::__export::check_settings::<$settings>(settings, $check),
            decide: |message, settings| {
                $decide(message, &$crate::parse_settings::<$settings>(settings)?)
            },
        }
    };
}

/// What every form of `policy!` comes down to.
#[doc(hidden)]
#[macro_export]
macro_rules! __policy {
    (
        name: $name:tt,
        description: $description:tt,
        schema: $schema:expr,
        check: $check:expr,
        decide: $decide:expr,
    ) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::__export::Policy for Exported {
                const NAME: &'static str =
                    $crate::__said!($name, ::std::env!("CARGO_PKG_NAME"));
                const VERSION: &'static str = ::std::env!("CARGO_PKG_VERSION");
                const DESCRIPTION: &'static str =
                    $crate::__said!($description, ::std::env!("CARGO_PKG_DESCRIPTION"));

                fn schema() -> ::std::string::String {
                    $schema
                }

                fn check(
                    settings: &str,
                ) -> ::core::result::Result<(), ::std::vec::Vec<::std::string::String>> {
                    let check: fn(&str) -> _ = $check;
                    check(settings)
                }

                fn decide(
                    message: &$crate::Message,
                    settings: &str,
                ) -> ::core::result::Result<$crate::Answer, ::std::string::String> {
                    let decide: fn(&$crate::Message, &str) -> $crate::Result = $decide;
                    decide(message, settings).map_err(|fault| fault.as_str().to_owned())
                }
            }

    $crate::__export::bindings::__export_policy!(Exported with_types_in $crate::__export::bindings);
        };
    };
}

/// What was said, or else what the package says.
#[doc(hidden)]
#[macro_export]
macro_rules! __said {
    ([], $package:expr) => {
        $package
    };
    ([$said:literal], $package:expr) => {
        $said
    };
}

/// Settings of which a schema says everything.
#[doc(hidden)]
pub fn __no_check<T>(_: &T, _: &mut crate::Faults) {}

#[cfg(test)]
mod tests;
