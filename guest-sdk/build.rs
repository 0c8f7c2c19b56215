//! Gives every policy a small stack and a small heap without its author knowing.
//!
//! The linker reserves 1 MiB for a guest's stack, all of it memory that the host keeps
//! resident in its pool and wipes after every decision. A policy is microseconds of
//! work on small data: 64 KiB is plenty, and its overflow still traps, since the
//! linker places the stack below the data. A heap that is there from the beginning, and
//! large enough for nearly every decision, spares the host from growing the memory and
//! shrinking it again.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let arch = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if arch == "wasm32" {
        // Cargo hands this on to the `cdylib` of the crate that depends on us.
        println!("cargo:rustc-link-arg-cdylib=-zstack-size=65536");
        println!("cargo:rustc-link-arg-cdylib=--initial-heap=65536");
    }
}
