//! A small stack and a heap that is there from the beginning, as the SDK gives them to a
//! policy that is a crate of its own; it cannot reach the examples of another crate.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "wasm32") {
        println!("cargo:rustc-link-arg-examples=-zstack-size=65536");
        println!("cargo:rustc-link-arg-examples=--initial-heap=65536");
    }
}
