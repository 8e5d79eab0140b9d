use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use tandem_protocol::ErrorCode;
use wasm_bindgen::JsValue;

use crate::error::ClientError;

/// A value as a plain object, with `null` for `None`.
pub(crate) fn to_js<T: Serialize>(value: &T) -> Result<JsValue, JsValue> {
    let serializer =
        Serializer::new().serialize_missing_as_null(true).serialize_maps_as_objects(true);
    value
        .serialize(&serializer)
        .map_err(|error| thrown(&ClientError::new(ErrorCode::Internal, error.to_string())))
}

/// An error as `{ code, message }`, to be thrown.
pub(crate) fn thrown(error: &ClientError) -> JsValue {
    // Two strings: the conversion cannot fail.
    serde_wasm_bindgen::to_value(error).unwrap_or(JsValue::NULL)
}
