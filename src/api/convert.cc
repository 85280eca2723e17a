// The public face of import/.

#include "lathe/convert.hpp"

#include <utility>

#include "src/api/state.h"
#include "src/import/stable_audio.h"

namespace lathe {

Result<std::vector<ConvertedFile>> ConvertStableAudio(
    const StableAudioSources& sources, const std::string& out_dir,
    const ConvertOptions& options) {
  return Guarded([&]() -> Result<std::vector<ConvertedFile>> {
    importer::Conversion conversion;
    conversion.stop = options.stop;
    conversion.progress = options.progress;
    LATHE_ASSIGN(const std::vector<importer::Written> written,
                 importer::ConvertStableAudio(
                     {sources.checkpoint, sources.config, sources.t5_dir},
                     out_dir, conversion));
    std::vector<ConvertedFile> files;
    for (const importer::Written& file : written) {
      files.push_back({file.path, file.bytes, file.ops, file.tensors});
    }
    return files;
  });
}

}  // namespace lathe
