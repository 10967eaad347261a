package wasmer

import (
	"strconv"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// VersionInfo is a semantic version with its parts.
type VersionInfo struct {
	Major, Minor, Patch int
	// Pre is the pre-release part, without the hyphen.
	Pre string
}

// String is the version as written, for instance "7.4.2".
func (v VersionInfo) String() string {
	s := strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor) + "." + strconv.Itoa(v.Patch)
	if v.Pre != "" {
		s += "-" + v.Pre
	}
	return s
}

func parseVersion(s string) VersionInfo {
	s, _, _ = strings.Cut(s, "+")
	core, pre, _ := strings.Cut(s, "-")
	var parts [3]int
	for i, part := range strings.SplitN(core, ".", 3) {
		parts[i], _ = strconv.Atoi(part)
	}
	return VersionInfo{parts[0], parts[1], parts[2], pre}
}

// Version is the version of this library, as its archive tells.
func Version() VersionInfo { return parseVersion(ffi.Version()) }

// EngineVersion is the version of the wasmer crate in the archive.
func EngineVersion() VersionInfo { return parseVersion(ffi.WasmerVersion()) }

// Target is the target triple that the archive was built for.
func Target() string { return ffi.Target() }

// BuildID identifies builds whose artifacts can be exchanged.
func BuildID() string { return ffi.BuildID() }
