//! Protobuf writing: tags, varints and nested messages into one buffer.
