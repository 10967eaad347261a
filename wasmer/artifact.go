package wasmer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// minArtifactKey is how short a secret may be: less can be tried out.
const minArtifactKey = 16

var errNotRegular = errors.New("not a regular file")

// Serialize makes an artifact: the compiled code, which Engine.Deserialize loads without compiling, with the debug information
// and custom sections of the module. It is of use to the same build of this library, on machines that have what the code
// uses of the CPU. See InspectArtifact for what it tells of itself.
func (m *Module) Serialize() ([]byte, error) {
	ptr, err := m.use()
	if err != nil {
		return nil, err
	}
	defer m.handle.release()
	artifact, err := ptr.Serialize()
	return artifact, translate("serialize", err)
}

// SerializeTo is Serialize into a file. It is written under another name in the same folder, brought to the disk (fsync), and
// then renamed, so that others see all of it or what was there before, also after a crash, and modules that were loaded from a
// file of that name go on. It can be read by whom the umask lets, and written by the user. On failure the folder is as
// it was. What is there and is no regular file is not replaced: that fails.
func (m *Module) SerializeTo(name string) error {
	ptr, err := m.use()
	if err != nil {
		return err
	}
	defer m.handle.release()
	return writeFile(name, func(file *os.File) error { return translate("serialize", ptr.Write(file)) })
}

// writeFile makes a file that is whole, or not there.
func writeFile(name string, write func(*os.File) error) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // /dev/null is not to become a file
		return fmt.Errorf("wasmer: serialize: %w", &fs.PathError{Op: "write", Path: name, Err: errNotRegular})
	}
	// As os.CreateTemp, but readable by whom the umask lets.
	temporary := fmt.Sprintf("%s.%016x.tmp", name, rand.Uint64())
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("wasmer: serialize: %w", err)
	}
	defer func() {
		if err != nil {
			_ = file.Close()
			_ = os.Remove(temporary)
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	for _, step := range []func() error{
		file.Sync, file.Close, func() error { return os.Rename(temporary, name) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("wasmer: serialize: %w", err)
		}
	}
	return nil
}

// Deserialize loads what Module.Serialize has made. It fails with ErrIncompatible, which says why, for what was made by
// another version or build, by another compiler or with other options than this engine's, for CPUs that have more than this one,
// with another EngineConfig.ArtifactKey or none, and for what is damaged: all is looked at before the code is.
//
// An artifact is machine code. Its digest stops damage, and nobody who makes an artifact on purpose; without an
// ArtifactKey load only what you trust. The bytes are copied.
func (e *Engine) Deserialize(ctx context.Context, artifact []byte) (*Module, error) {
	return e.newModule(ctx, opDeserialize, artifact, func(engine *ffi.Engine, artifact []byte) (*ffi.Module, error) {
		return engine.Deserialize(artifact, true)
	})
}

// UnsafeDeserialize is Deserialize for artifacts that the caller knows to be whole, and whose they are: of an artifact of other
// versions, compilers, options and CPUs it is ErrIncompatible too, but neither the digest nor the key is looked at. What is
// damaged or forged then does anything to the process.
func (e *Engine) UnsafeDeserialize(ctx context.Context, artifact []byte) (*Module, error) {
	return e.newModule(ctx, opDeserialize, artifact, func(engine *ffi.Engine, artifact []byte) (*ffi.Module, error) {
		return engine.Deserialize(artifact, false)
	})
}

// DeserializeFile is Deserialize for a file. The file is mapped, so that only
// what is used is read, and processes share it; so it must not change as long as the module or an instance of it is in use:
// whoever writes into the file, or truncates it, changes or ends this process. To replace it, write another one and rename it,
// as SerializeTo does. With an ArtifactKey the file is read instead, and may change.
func (e *Engine) DeserializeFile(ctx context.Context, name string) (*Module, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe can take for ever
		err = &fs.PathError{Op: "map", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return nil, fmt.Errorf("wasmer: deserialize: %w", err)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("wasmer: deserialize: %w", err)
	}
	defer file.Close()
	return e.newModule(ctx, opDeserialize, nil, func(engine *ffi.Engine, _ []byte) (*ffi.Module, error) {
		return engine.DeserializeFile(file)
	})
}

// DeserializeModule loads an artifact with the default engine, as Engine.Deserialize does.
func DeserializeModule(artifact []byte) (*Module, error) {
	engine, err := defaultEngine()
	if err != nil {
		return nil, err
	}
	return engine.Deserialize(context.Background(), artifact)
}

// ArtifactInfo is what an artifact says of itself.
type ArtifactInfo struct {
	// Version is that of this library, and Build the BuildID, that made it.
	Version, Build string
	// Compiler has made the code, under the name of its String.
	Compiler string
	// Target is the triple of the machines that it is for, and CPUFeatures what these must have, under GCC's names.
	Target      string
	CPUFeatures []string
	// OptLevel and CanonicalizeNaNs are the options that the code was made with.
	OptLevel         OptLevel
	CanonicalizeNaNs bool
	// Features are what modules were allowed to use.
	Features Features
	// Memories is how the code takes memories to lie in the address space.
	Memories Memories
	// Metered says that the code counts what it executes.
	Metered bool
	// ModuleDigest is the BLAKE3 digest of the module in binary format, without code that is embedded in it.
	ModuleDigest [32]byte
	// Keyed says that it was made with an EngineConfig.ArtifactKey.
	Keyed bool
	// Size is that of the compiled code with all that goes with it, in bytes.
	Size uint64
}

// InspectArtifact tells what an artifact says of itself, of any build and for any machine. Nothing but this is
// verified, and that by a digest only; nothing is loaded. It fails with ErrIncompatible if it is no artifact of this format.
func InspectArtifact(artifact []byte) (*ArtifactInfo, error) {
	d, err := ffi.InspectArtifact(artifact)
	if err != nil {
		return nil, translate("inspect", err)
	}
	info := &ArtifactInfo{Version: d.String(), Build: d.String(), Compiler: d.String(), Target: d.String()}
	for range d.Uint32() {
		info.CPUFeatures = append(info.CPUFeatures, d.String())
	}
	info.OptLevel, info.CanonicalizeNaNs = OptLevel(d.Uint32()), d.Uint8() != 0
	info.Features = Features{given: true, bits: d.Uint64()}
	info.Memories = ReservedMemories
	if d.Uint8() != 0 {
		info.Memories = BoundedMemories
	}
	info.Metered = d.String() != ""
	copy(info.ModuleDigest[:], d.Bytes())
	info.Keyed = d.Uint8() != 0
	info.Size = d.Uint64()
	return info, nil
}

// IsArtifact tells an artifact, which is machine code, from a module by its first bytes. Nothing more is looked at.
func IsArtifact(data []byte) bool {
	return strings.HasPrefix(string(data[:min(len(data), 8)]), "WASMERGO")
}
