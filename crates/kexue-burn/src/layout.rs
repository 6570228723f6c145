//! The places of a Burn module's tensors in a flat vector, and the conversions between the two.

use crate::convention::{pytorch, transpose};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Element, Tensor, TensorData};
use kexue_optim::{Place as PlaceInModel, Role, Slot, Slots};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// Why a module has no flat vector.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LayoutError {
    /// No parameter requires a gradient.
    #[error(
        "none of the module's {tensors} float tensors requires a gradient: create it on a device with autodiff \
         (`Device::autodiff`), or call `Module::train` on it"
    )]
    NothingToTrain {
        /// Number of float tensors in the module.
        tensors: usize,
    },
    /// Two tensors have the same name in PyTorch's convention.
    #[error("two tensors of the module are both called {name} in PyTorch's convention: rename one of the fields")]
    SameName {
        /// The name.
        name: String,
    },
}

/// The slots of a module's float tensors: *parameters*, which require gradients, and *buffers*, which do not (running statistics, frozen
/// parameters). Each kind has its own flat vector, in the order in which the module declares its fields.
///
/// 1. The slots of a kind tile its vector without gaps.
/// 2. A parameter that occurs at several places of the module (with one [`ParamId`]) has one slot, named after the first place, and stays shared.
/// 3. Names and shapes are PyTorch's. Tensors of integers and booleans are not part of either vector.
#[derive(Clone, Debug)]
pub struct Layout {
    parameters: Slots,
    buffers: Slots,
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Parameter,
    Buffer,
}

/// One occurrence of a float tensor in the module, in the order of the walk.
#[derive(Clone, Debug)]
struct Place {
    kind: Kind,
    slot: usize,
    transposed: bool,
    /// Whether an earlier place has the same parameter.
    repeated: bool,
}

impl Layout {
    /// The layout of a module. Parameters that are not initialised yet are drawn now.
    ///
    /// # Errors
    /// If no parameter requires a gradient, or two tensors would have the same name.
    pub fn of<M: Module>(module: &M) -> Result<Self, LayoutError> {
        let mut describe = Describe::default();
        module.visit(&mut describe);
        if let Some(name) = describe.same_name {
            return Err(LayoutError::SameName { name });
        }
        if describe.parameters.is_empty() {
            return Err(LayoutError::NothingToTrain {
                tensors: describe.places.len(),
            });
        }
        Ok(Self {
            parameters: describe.parameters,
            buffers: describe.buffers,
            places: describe.places,
        })
    }

    /// The parameters, in the order of their flat vector.
    pub fn parameters(&self) -> &Slots {
        &self.parameters
    }

    /// The buffers, in the order of theirs.
    pub fn buffers(&self) -> &Slots {
        &self.buffers
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.parameters.size()
    }

    /// Number of values in buffers.
    pub fn buffer_count(&self) -> usize {
        self.buffers.size()
    }

    /// The parameters of a module of this layout.
    ///
    /// # Panics
    /// If the module has another layout.
    pub fn read_parameters<M: Module, E: Element>(&self, module: &M) -> Vec<E> {
        self.read(module, Kind::Parameter, None)
    }

    /// The buffers of a module of this layout.
    ///
    /// # Panics
    /// If the module has another layout.
    pub fn read_buffers<M: Module, E: Element>(&self, module: &M) -> Vec<E> {
        settle_running_statistics(module);
        self.read(module, Kind::Buffer, None)
    }

    /// The gradients of the parameters; 0 for those that the loss does not depend on.
    ///
    /// # Panics
    /// If the module has another layout.
    pub fn gradients<M: Module, E: Element>(&self, module: &M, gradients: &GradientsParams) -> Vec<E> {
        self.read(module, Kind::Parameter, Some(gradients))
    }

    /// The same module with these parameters, which are new leaves of the autodiff graph.
    ///
    /// # Panics
    /// If the module has another layout, or the vector another length.
    pub fn write_parameters<M: Module, E: Element>(&self, module: M, values: &[E]) -> M {
        self.write(module, Kind::Parameter, values)
    }

    /// The same module with these buffers.
    ///
    /// As in Burn, all clones of a module share running statistics, so they see the change.
    ///
    /// # Panics
    /// If the module has another layout, or the vector another length.
    pub fn write_buffers<M: Module, E: Element>(&self, module: M, values: &[E]) -> M {
        settle_running_statistics(&module);
        self.write(module, Kind::Buffer, values)
    }

    fn slots(&self, kind: Kind) -> &Slots {
        match kind {
            Kind::Parameter => &self.parameters,
            Kind::Buffer => &self.buffers,
        }
    }

    fn read<M: Module, E: Element>(&self, module: &M, kind: Kind, gradients: Option<&GradientsParams>) -> Vec<E> {
        let mut read = Read {
            walk: Walk::new(self),
            kind,
            gradients,
            values: vec![E::default(); self.slots(kind).size()],
        };
        module.visit(&mut read);
        read.walk.finish();
        read.values
    }

    fn write<M: Module, E: Element>(&self, module: M, kind: Kind, values: &[E]) -> M {
        assert_eq!(values.len(), self.slots(kind).size(), "length of the flat vector");
        let mut write = Write {
            walk: Walk::new(self),
            kind,
            values,
            shared: HashMap::new(),
        };
        let module = module.map(&mut write);
        write.walk.finish();
        module
    }
}

/// Burn's running statistics lag one update behind until a module is converted. Converting a clone also updates those of the original.
fn settle_running_statistics<M: Module>(module: &M) {
    drop(module.valid());
}

/// First walk: finds the slots.
#[derive(Default)]
struct Describe {
    /// Field names and the types of the structs that hold them, outermost first.
    path: Vec<(String, String)>,
    parameters: Slots,
    buffers: Slots,
    places: Vec<Place>,
    seen: HashMap<ParamId, (Kind, usize)>,
    names: HashSet<String>,
    same_name: Option<String>,
}

impl Describe {
    /// The tensor's name in PyTorch's convention, whether its matrix is stored transposed, and what it is for.
    fn name(&self) -> (String, bool, Role) {
        let mut names: Vec<&str> = self.path.iter().map(|(name, _)| name.as_str()).collect();
        let (mut transposed, mut role) = (false, Role::Weight);
        if let (Some(last), Some((_, layer))) = (names.last_mut(), self.path.last()) {
            let convention = pytorch(layer, last);
            (*last, transposed, role) = (convention.name, convention.transposed, convention.role);
        }
        (names.join("."), transposed, role)
    }
}

impl ModuleVisitor for Describe {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_owned(), container.to_owned()));
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let (name, transposed, role) = self.name();
        let transposed = transposed && D == 2;
        if let Some(&(kind, slot)) = self.seen.get(&parameter.id) {
            self.places.push(Place {
                kind,
                slot,
                transposed,
                repeated: true,
            });
            return;
        }
        if !self.names.insert(name.clone()) {
            self.same_name.get_or_insert(name);
            return;
        }
        let tensor = parameter.base();
        let mut shape = tensor.dims().to_vec();
        if transposed {
            shape.reverse();
        }
        let (kind, slots) = if tensor.is_require_grad() {
            (Kind::Parameter, &mut self.parameters)
        } else {
            (Kind::Buffer, &mut self.buffers)
        };
        let slot = slots.len();
        slots.add(name, role, PlaceInModel::Unspecified, &shape);
        self.seen.insert(parameter.id, (kind, slot));
        self.places.push(Place {
            kind,
            slot,
            transposed,
            repeated: false,
        });
    }
}

/// A later walk: the places in the order in which they were found.
struct Walk<'a> {
    layout: &'a Layout,
    next: usize,
}

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout) -> Self {
        Self { layout, next: 0 }
    }

    /// The next place, and its slot if it is of this kind.
    fn step(&mut self, kind: Kind, dims: &[usize]) -> (&'a Place, Option<&'a Slot>) {
        let layout = self.layout;
        let place = layout
            .places
            .get(self.next)
            .unwrap_or_else(|| panic!("the module has more than the {} float tensors of its layout", self.next));
        self.next += 1;
        let slot = &layout.slots(place.kind)[place.slot];
        let same = if place.transposed {
            slot.shape.iter().rev().eq(dims)
        } else {
            slot.shape == dims
        };
        assert!(
            same,
            "{} has the shape {dims:?} in the module, {:?} in its layout",
            slot.name, slot.shape
        );
        (place, (place.kind == kind).then_some(slot))
    }

    fn finish(self) {
        let known = self.layout.places.len();
        assert_eq!(
            self.next, known,
            "number of float tensors in the module, against its layout"
        );
    }
}

struct Read<'a, E> {
    walk: Walk<'a>,
    kind: Kind,
    gradients: Option<&'a GradientsParams>,
    values: Vec<E>,
}

impl<E: Element> ModuleVisitor for Read<'_, E> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        let tensor = parameter.base();
        let dims = tensor.dims();
        let (place, Some(slot)) = self.walk.step(self.kind, &dims) else {
            return;
        };
        if place.repeated {
            return;
        }
        let tensor = match self.gradients {
            Some(gradients) => match gradients.get::<D>(parameter.id) {
                Some(gradient) => gradient,
                None => return,
            },
            None => tensor,
        };
        let data = tensor.into_data_as::<E>();
        let from = data.as_slice::<E>().expect("just converted");
        let to = &mut self.values[slot.range.clone()];
        if place.transposed {
            transpose(from, dims[0], dims[1], to);
        } else {
            to.copy_from_slice(from);
        }
    }
}

struct Write<'a, E> {
    walk: Walk<'a>,
    kind: Kind,
    values: &'a [E],
    /// The new tensors of parameters that may occur again.
    shared: HashMap<ParamId, Box<dyn Any>>,
}

impl<E: Element> ModuleMapper for Write<'_, E> {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, old, mapper) = parameter.consume();
        let dims = old.dims();
        let (place, Some(slot)) = self.walk.step(self.kind, &dims) else {
            return Param::from_mapped_value(id, old, mapper);
        };
        // One leaf for all places of a shared parameter, so that its gradient is the sum over them.
        let shared = self.shared.get(&id).and_then(|new| new.downcast_ref::<Tensor<D>>());
        let new = shared.cloned().unwrap_or_else(|| {
            let from = &self.values[slot.range.clone()];
            let values = if place.transposed {
                let mut values = vec![E::default(); from.len()];
                transpose(from, dims[1], dims[0], &mut values);
                values
            } else {
                from.to_vec()
            };
            Tensor::from_data(TensorData::new(values, dims), (&old.device(), old.dtype()))
                .set_require_grad(old.is_require_grad())
        });
        self.shared.insert(id, Box::new(new.clone()));
        Param::from_mapped_value(id, new, mapper)
    }
}
