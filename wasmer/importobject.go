package wasmer

import (
	"fmt"
	"maps"
	"os"
	"strings"
)

// ImportObject is go-ext-wasm's way to combine imports: a set that starts with WASI, or empty, to which others are added.
// Imports does the same.
type ImportObject struct {
	imports *Imports
}

// MapDirEntry shows a folder of the host to a guest under another path.
type MapDirEntry struct {
	Alias    string
	HostPath string
}

// NewImportObject makes an empty set.
func NewImportObject() *ImportObject { return &ImportObject{NewImports()} }

// NewDefaultWasiImportObject makes a set with WASI, in which the guest has the process's standard streams, and neither
// arguments, environment nor files.
func NewDefaultWasiImportObject() *ImportObject {
	return NewWasiImportObject(nil, nil, nil, nil)
}

// NewDefaultWasiImportObjectForVersion is NewDefaultWasiImportObject; Unknown is an error when the set is used.
func NewDefaultWasiImportObjectForVersion(version WasiVersion) *ImportObject {
	return NewWasiImportObjectForVersion(version, nil, nil, nil, nil)
}

// NewWasiImportObject makes a set with WASI: arguments with the program's name first, environment variables as KEY=VALUE,
// folders of the host under their own and under other paths, for reading and writing. The streams are those of the
// process. An error is kept for when the set is used.
func NewWasiImportObject(arguments, environmentVariables, preopenedDirs []string, mappedDirs []MapDirEntry,
) *ImportObject {
	return NewWasiImportObjectForVersion(Latest, arguments, environmentVariables, preopenedDirs, mappedDirs)
}

// NewWasiImportObjectForVersion is NewWasiImportObject; each version has the functions of both. Unknown is an error when
// the set is used.
func NewWasiImportObjectForVersion(version WasiVersion, arguments, environmentVariables, preopenedDirs []string,
	mappedDirs []MapDirEntry,
) *ImportObject {
	object := NewImportObject()
	if version != Snapshot0 && version != Snapshot1 {
		object.imports.keep(fmt.Errorf("wasmer: WASI: there is no version %d", version))
		return object
	}
	config := WASIConfig{Args: arguments, Env: map[string]string{}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	for _, variable := range environmentVariables {
		key, value, ok := strings.Cut(variable, "=")
		if !ok {
			object.imports.keep(fmt.Errorf("wasmer: WASI: the environment variable %q is not of the form KEY=VALUE", variable))
			return object
		}
		config.Env[key] = value
	}
	for _, dir := range preopenedDirs {
		config.Mounts = append(config.Mounts, Mount{Guest: dir, Host: dir})
	}
	for _, dir := range mappedDirs {
		config.Mounts = append(config.Mounts, Mount{Guest: dir.Alias, Host: dir.HostPath})
	}
	object.imports.WASI(NewWASI(config))
	return object
}

// Imports are the imports of the set, for InstantiateWithImports and the like.
func (o *ImportObject) Imports() (*Imports, error) {
	if o == nil {
		return nil, ErrClosed
	}
	return o.imports, o.imports.firstError()
}

// Extend adds imports; what the set has of the same name is replaced.
func (o *ImportObject) Extend(imports *Imports) error {
	if o == nil {
		return ErrClosed
	}
	return o.imports.extend(imports)
}

func (i *Imports) extend(other *Imports) error {
	if err := other.firstError(); err != nil {
		return err
	}
	if other == nil || other == i {
		return nil
	}
	other.mu.Lock()
	items, behind, wasi, stub := maps.Clone(other.items), maps.Clone(other.behind), other.wasi, other.stub
	mocks := maps.Clone(other.mocks)
	other.mu.Unlock()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return ErrClosed
	}
	maps.Copy(i.items, items)
	for key, item := range behind {
		i.setBehind(key, item)
	}
	for _, mock := range mocks {
		i.setMock(mock)
	}
	if wasi != nil {
		i.wasi = wasi
	}
	i.stub = i.stub || stub
	return nil
}

// Close lets go of the imports; instances made with them go on.
func (o *ImportObject) Close() {
	if o != nil {
		o.imports.Close()
	}
}

// InstantiateWithImportObject makes an instance, with its Exports filled in. The set may be used again.
func (m *Module) InstantiateWithImportObject(object *ImportObject) (*Instance, error) {
	imports, err := object.Imports()
	if err != nil {
		return nil, err
	}
	return m.InstantiateWithImports(imports)
}
