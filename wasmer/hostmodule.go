package wasmer

import (
	"cmp"
	"fmt"
	"slices"
)

// HostModule defines functions that guests import: an extension, or a module of a plug-in.
type HostModule interface {
	// AddTo defines them, under the module name that guests know.
	AddTo(imports *Imports)
}

// Add defines what host modules bring. The current module name stays as it is.
func (i *Imports) Add(modules ...HostModule) *Imports {
	if i == nil {
		return nil
	}
	for _, module := range modules {
		i.mu.Lock()
		namespace := i.namespace
		if module == nil {
			i.keep(fmt.Errorf("wasmer: imports: a host module is nil"))
		}
		i.mu.Unlock()
		if module != nil {
			module.AddTo(i)
			i.Namespace(namespace)
		}
	}
	return i
}

// AddTo defines all that i has, so that a list is a host module, too. Of the same names what is added takes the place of what
// was there.
func (i *Imports) AddTo(imports *Imports) {
	if imports == nil {
		return
	}
	if err := imports.extend(i); err != nil {
		imports.mu.Lock()
		defer imports.mu.Unlock()
		imports.keep(err)
	}
}

// List lists what is defined, by module and name; not what stands in for what is unknown (StubUnknown, MockModule).
func (i *Imports) List() []ImportType {
	if i == nil {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	types := map[importKey]ExternType{}
	for key, item := range i.behind {
		types[key] = item.typ()
	}
	if i.wasi != nil {
		for key, host := range wasiDefinitions() {
			types[key] = importItem{host: host}.typ()
		}
	}
	for key, item := range i.items {
		types[key] = item.typ()
	}
	list := make([]ImportType, 0, len(types))
	for key, typ := range types {
		list = append(list, ImportType{Module: key.module, Name: key.name, Type: typ})
	}
	slices.SortFunc(list, func(a, b ImportType) int { return cmp.Or(cmp.Compare(a.Module, b.Module), cmp.Compare(a.Name, b.Name)) })
	return list
}

// Err is the first error of what was defined, which whatever instantiates reports; nil if there is none.
func (i *Imports) Err() error { return i.firstError() }
