//! Weights in `safetensors` format: one tensor per parameter, named by its path in the module.

use std::collections::HashMap;

use burn::{
    Tensor,
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, TensorData},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tandem_protocol::ModelConfig;

use crate::{Body, ModelError, Parameter};

/// The parameters of a module in the order of its fields. Reads the device synchronously, which
/// a browser's GPU does not support.
///
/// # Errors
/// [`ModelError::Device`] if the compute device fails.
pub fn parameters(module: &impl Module) -> Result<Vec<Parameter>, ModelError> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    collector.parameters.into_iter().collect()
}

impl Body {
    /// The weights as a `safetensors` file with `metadata` in its header.
    ///
    /// # Errors
    /// [`ModelError::Format`] if the file cannot be written, [`ModelError::Device`] if the
    /// compute device fails.
    pub fn to_bytes(&self, metadata: &HashMap<String, String>) -> Result<Vec<u8>, ModelError> {
        let parameters = parameters(self)?;
        let bytes: Vec<Vec<u8>> = parameters
            .iter()
            .map(|parameter| parameter.values.iter().flat_map(|v| v.to_le_bytes()).collect())
            .collect();
        let mut views = Vec::new();
        for (parameter, bytes) in parameters.iter().zip(&bytes) {
            let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytes)
                .map_err(|error| ModelError::Format(format!("weight file: {error}")))?;
            views.push((parameter.name.as_str(), view));
        }
        safetensors::serialize(views, Some(metadata.clone()))
            .map_err(|error| ModelError::Format(format!("weight file: {error}")))
    }

    /// Reads weights written by [`to_bytes`](Self::to_bytes) into a model of this shape.
    ///
    /// # Errors
    /// [`ModelError::Config`] for an invalid shape, [`ModelError::Format`] if the bytes are not
    /// a valid `safetensors` file, [`ModelError::MissingTensor`] or
    /// [`ModelError::TensorShape`] if they belong to another model, [`ModelError::NotFinite`]
    /// if a weight is not finite.
    pub fn from_bytes(
        config: &ModelConfig,
        bytes: &[u8],
        device: &Device,
    ) -> Result<Self, ModelError> {
        // The device does not train the shared weights, so no gradients are recorded.
        Self::new(config, 0.0, device)?.no_grad().load(bytes, device)
    }

    /// Replaces the weights, which are on `device`, by those of a file written by
    /// [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn load(self, bytes: &[u8], device: &Device) -> Result<Self, ModelError> {
        let file = WeightFile::parse(bytes)?;
        let mut loader = Loader { file, device, path: Vec::new(), error: None };
        let body = self.map(&mut loader);
        match loader.error {
            Some(error) => Err(error),
            None => Ok(body),
        }
    }
}

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    parameters: Vec<Result<Parameter, ModelError>>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let (name, shape) = (self.path.join("."), tensor.dims().to_vec());
        let values = tensor.try_into_vec_as::<f32>();
        self.parameters.push(match values {
            Ok(values) => Ok(Parameter { name, shape, values }),
            Err(error) => Err(ModelError::Device(format!("{error:?}"))),
        });
    }
}

struct Loader<'a> {
    file: WeightFile<'a>,
    device: &'a Device,
    path: Vec<String>,
    error: Option<ModelError>,
}

/// A `safetensors` file of weights.
pub(crate) struct WeightFile<'a>(SafeTensors<'a>);

impl<'a> WeightFile<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let file = SafeTensors::deserialize(bytes).map_err(|error| {
            ModelError::Format(format!(
                "weight file: expected safetensors: {error}; export it again"
            ))
        })?;
        Ok(Self(file))
    }

    /// The values of a tensor, which must have this shape.
    pub(crate) fn read(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let view =
            self.0.tensor(name).map_err(|_| ModelError::MissingTensor { name: name.to_owned() })?;
        if view.dtype() != Dtype::F32 {
            return Err(ModelError::Format(format!(
                "weight file: tensor `{name}` has type {:?}, expected F32; export it again",
                view.dtype()
            )));
        }
        if view.shape() != expected {
            return Err(ModelError::TensorShape {
                name: name.to_owned(),
                expected: expected.to_vec(),
                found: view.shape().to_vec(),
            });
        }
        let (words, _) = view.data().as_chunks::<4>();
        let values: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(ModelError::NotFinite { what: format!("tensor `{name}`") });
        }
        Ok(values)
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape().to_vec();
        match self.file.read(&self.path.join("."), &shape) {
            Ok(values) => {
                let loaded = Tensor::from_data(TensorData::new(values, shape), self.device);
                // Training can be continued from loaded weights.
                param.map(|own| loaded.set_require_grad(own.is_require_grad()))
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}
