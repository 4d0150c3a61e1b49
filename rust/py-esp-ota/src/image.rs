//! Images: their parts as values, what is wrong with them, and what the device says.

mod info;
mod options;
mod parts;
mod verdict;

use pyo3::prelude::*;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<parts::ImageHeader>()?;
    module.add_class::<parts::AppDesc>()?;
    module.add_class::<parts::BootloaderDesc>()?;
    module.add_class::<parts::Segment>()?;
    module.add_class::<info::ImageInfo>()?;
    module.add_class::<options::VerifyOptions>()?;
    module.add_class::<verdict::Verdict>()?;
    module.add_function(wrap_pyfunction!(info::inspect_image, module)?)?;
    module.add_function(wrap_pyfunction!(verdict::verify_image, module)?)?;
    module.add_function(wrap_pyfunction!(verdict::check_image_validity, module)?)
}
