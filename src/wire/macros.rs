//! What messages are declared with: a struct with a layout, a number with a meaning, a value of several
//! kinds, a table of messages.

/// Declares a struct whose layout is its fields in order.
macro_rules! layout {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        impl Field for $name {
            #[allow(unused_variables, reason = "a message may have no fields")]
            fn put(&self, out: &mut BytesMut) {
                $(self.$field.put(out);)*
            }
            #[allow(unused_variables, reason = "a message may have no fields")]
            fn take(from: &mut Cursor) -> Result<$name, DecodeError> {
                Ok($name { $($field: Field::take(from)?),* })
            }
        }
    };
}

/// Declares a number with named values; any other number is a decoding error, or kept as it is in what comes after `else`.
macro_rules! code {
    ($(#[$doc:meta])* $name:ident: $int:ty $(, else $(#[$other_doc:meta])* $other:ident)? {
        $($(#[$value_doc:meta])* $value:ident = $number:literal $label:literal),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)* $($(#[$other_doc])* $other($int))? }

        impl $name {
            /// Every value that has a name.
            pub const ALL: &[$name] = &[$($name::$value),*];

            /// The number on the wire.
            pub fn number(self) -> $int {
                match self { $($name::$value => $number,)* $($name::$other(number) => number)? }
            }

            /// The name in PROTOCOL.md.
            pub fn label(self) -> &'static str {
                match self { $($name::$value => $label,)* $($name::$other(_) => "?")? }
            }
        }

        impl Field for $name {
            fn put(&self, out: &mut BytesMut) {
                self.number().put(out);
            }
            fn take(from: &mut Cursor) -> Result<$name, DecodeError> {
                #[allow(unreachable_patterns, reason = "some are open")]
                match <$int>::take(from)? {
                    $($number => Ok($name::$value),)*
                    $(number => Ok($name::$other(number)),)?
                    other => Err(DecodeError::BadValue { what: stringify!($name), got: u64::from(other) }),
                }
            }
        }
    };
}

/// Declares the messages of one direction: `id LABEL Variant { fields }`.
///
/// The numbers stand here once, are never reused, and are the ones in PROTOCOL.md.
macro_rules! messages {
    ($(#[$doc:meta])* $name:ident { $($(#[$message_doc:meta])* $id:literal $label:literal $variant:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
    })* }) => {
        $(layout! { $(#[$message_doc])* $variant { $($(#[$field_doc])* $field: $type),* } })*

        $(impl $variant {
            /// The message's number.
            pub const ID: u8 = $id;
        })*

        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            /// A message that both sides of any connection may send.
            Common(Common),
            $($(#[$message_doc])* $variant($variant)),*
        }

        impl $name {
            /// Id and name of every message of this direction.
            pub const TABLE: &[(u8, &'static str)] = &[$(($id, $label)),*];
        }

        impl Message for $name {
            fn id(&self) -> u8 {
                match self {
                    $name::Common(message) => message.id(),
                    $($name::$variant(_) => $id),*
                }
            }

            fn label(&self) -> &'static str {
                match self {
                    $name::Common(message) => message.label(),
                    $($name::$variant(_) => $label),*
                }
            }

            fn put_body(&self, out: &mut BytesMut) {
                match self {
                    $name::Common(message) => message.put_body(out),
                    $($name::$variant(message) => message.put(out)),*
                }
            }

            fn decode(id: u8, body: Bytes) -> Result<$name, DecodeError> {
                if id < FIRST_DIRECTED_ID {
                    return Common::decode(id, body).map($name::Common);
                }
                let mut from = Cursor::new(body);
                let message = match id {
                    $($id => $name::$variant($variant::take(&mut from)?),)*
                    unknown => return Err(DecodeError::UnknownMessage(unknown)),
                };
                from.finish()?;
                Ok(message)
            }
        }

        $(impl From<$variant> for $name {
            fn from(message: $variant) -> $name {
                $name::$variant(message)
            }
        })*

        impl From<Common> for $name {
            fn from(message: Common) -> $name {
                $name::Common(message)
            }
        }
    };
}

/// Declares a value of several kinds, each a number and the fields of that kind: `number LABEL Variant { fields }`.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$kind_doc:meta])* $number:literal $label:literal $variant:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
    })* }) => {
        $(layout! { $(#[$kind_doc])* $variant { $($(#[$field_doc])* $field: $type),* } })*

        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$kind_doc])* $variant($variant)),* }

        impl $name {
            /// Number and name of every kind.
            pub const TABLE: &[(u8, &'static str)] = &[$(($number, $label)),*];
        }

        impl Field for $name {
            fn put(&self, out: &mut BytesMut) {
                match self {
                    $($name::$variant(value) => {
                        out.extend_from_slice(&[$number]);
                        value.put(out);
                    })*
                }
            }
            fn take(from: &mut Cursor) -> Result<$name, DecodeError> {
                match u8::take(from)? {
                    $($number => $variant::take(from).map($name::$variant),)*
                    other => Err(DecodeError::BadValue { what: stringify!($name), got: u64::from(other) }),
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(value: $variant) -> $name {
                $name::$variant(value)
            }
        })*
    };
}

pub(crate) use layout;
pub(super) use {code, kinds, messages};
