package vm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// hosts are the host modules that guests can import from, and what stands in for those that are missing.
type hosts struct {
	// lists are the host modules by their names; one may have several.
	lists map[string]*wasmer.Imports
	mocks []wasmer.MockModule
	// instances have the functions of the modules for the host to call, as far as it has.
	instances map[string]*wasmer.Instance
}

// newHosts gives the modules of the configuration, of the plug-ins, and those that stand in for missing ones.
func (v *VM) newHosts() (hosts, error) {
	h := hosts{lists: map[string]*wasmer.Imports{}}
	taken := func(name string) bool {
		return h.lists[name] != nil || v.wasi != nil && slices.Contains(wasiModules, name)
	}
	own, err := listHosts(v.config.HostModules)
	if err == nil {
		err = h.add(own, taken)
	}
	if err != nil {
		return h, err
	}
	for _, name := range wasmer.ListPlugins() {
		if slices.Contains(v.config.ForbiddenPlugins, name) {
			continue
		}
		plugin := wasmer.FindPlugin(name)
		for _, module := range plugin.Modules() {
			if taken(module) {
				continue // the program's own goes first
			}
			made, err := plugin.NewModule(module)
			if err != nil {
				return h, fmt.Errorf("vm: %w", err)
			}
			lists, err := listHosts([]wasmer.HostModule{made})
			if err == nil {
				err = h.add(lists, taken)
			}
			if err != nil {
				return h, err
			}
		}
	}
	if !v.config.NoMocks {
		h.mocks = wasmer.MockModules()
	}
	return h, nil
}

// listHosts gives what host modules define, by the names of the modules.
func listHosts(modules []wasmer.HostModule) (map[string]*wasmer.Imports, error) {
	lists := map[string]*wasmer.Imports{}
	for _, module := range modules {
		list := wasmer.NewImports().Add(module)
		if err := list.Err(); err != nil {
			return nil, err
		}
		for _, definition := range list.List() {
			name := definition.Module
			if other := lists[name]; other != nil && other != list {
				return nil, fmt.Errorf("vm: %w: two host modules have the name %q", wasmer.ErrNameTaken, name)
			}
			lists[name] = list
		}
	}
	return lists, nil
}

// add adds all lists or none.
func (h *hosts) add(lists map[string]*wasmer.Imports, taken func(string) bool) error {
	for name := range lists {
		if taken(name) {
			return fmt.Errorf("vm: %w: module %q is registered", wasmer.ErrNameTaken, name)
		}
	}
	maps.Copy(h.lists, lists)
	return nil
}

// taken reports whether there is something that guests import from under the name, but for mocks.
func (v *VM) taken(name string) bool {
	return v.hosts.lists[name] != nil || v.wasi != nil && slices.Contains(wasiModules, name) || v.store.Instance(name) != nil
}

// imports are what a guest gets, with the lock held.
func (h *hosts) imports(wasi *WASI) *wasmer.Imports {
	imports := wasmer.NewImports()
	for _, list := range h.lists {
		imports.Add(list)
	}
	for _, mock := range h.mocks {
		imports.Add(mock)
	}
	if wasi != nil {
		imports.WASI(wasi.current())
	}
	return imports
}

// names are those of the modules, mocks included.
func (h *hosts) names(wasi *WASI) []string {
	var names []string
	for name := range h.lists {
		names = append(names, name)
	}
	for _, mock := range h.mocks {
		names = append(names, mock.Name)
	}
	if wasi != nil {
		names = append(names, wasiModules...)
	}
	return names
}

// hostInstance is one that exports the functions of a host module, for the host to call them: each is imported, and exported again.
// Guests import the functions themselves, whose caller is the guest then.
func (v *VM) hostInstance(name string) (*wasmer.Instance, error) {
	v.mu.Lock()
	instance, store, imports := v.hosts.instances[name], v.store, v.hosts.imports(v.wasi)
	known := slices.Contains(v.hosts.names(v.wasi), name)
	v.used = v.used || known
	v.mu.Unlock()
	switch {
	case instance != nil:
		return instance, nil
	case !known:
		return nil, fmt.Errorf("vm: %w: no module %q is registered", wasmer.ErrNotFound, name)
	}
	module, err := v.engine.Compile(context.Background(), []byte(relay(name, imports.List())))
	if err != nil {
		return nil, fmt.Errorf("vm: the functions of module %q cannot be called by the host: %w", name, err)
	}
	defer module.Close()
	if instance, err = store.Instantiate(context.Background(), "", module, imports); err != nil {
		return nil, fmt.Errorf("vm: the functions of module %q cannot be called by the host: %w", name, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	err = v.check("ExecuteRegistered", Initiated)
	if err == nil && v.store != store {
		err = fmt.Errorf("vm: module %q: %w", name, ErrChanged)
	}
	other := v.hosts.instances[name]
	if err != nil || other != nil {
		_ = instance.Close()
		return other, err
	}
	if v.hosts.instances == nil {
		v.hosts.instances = map[string]*wasmer.Instance{}
	}
	v.hosts.instances[name] = instance
	return instance, nil
}

// relay is the text of a module that exports what a host module defines.
func relay(name string, definitions []wasmer.ImportType) string {
	var imports, exports strings.Builder
	counts := map[wasmer.ExternKind]int{}
	for _, definition := range definitions {
		kind := definition.Type.Kind
		if definition.Module != name || kind == wasmer.ExternTag {
			continue
		}
		fmt.Fprintf(&imports, "(import %s %s %s)\n", quote(name), quote(definition.Name), definition.Type)
		word := map[wasmer.ExternKind]string{
			wasmer.ExternFunction: "func", wasmer.ExternTable: "table", wasmer.ExternMemory: "memory", wasmer.ExternGlobal: "global",
		}[kind]
		fmt.Fprintf(&exports, "(export %s (%s %d))\n", quote(definition.Name), word, counts[kind])
		counts[kind]++
	}
	return "(module\n" + imports.String() + exports.String() + ")"
}

// quote writes a name in the text format.
func quote(name string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(name) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			fmt.Fprintf(&b, "\\%02x", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
