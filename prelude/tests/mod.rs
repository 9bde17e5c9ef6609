//! The library's tests that go through its public interface, one file a subject.

mod golden_decomposition;
mod properties;
