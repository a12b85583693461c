//! What the parser tells while it builds the tree.

use super::super::comments;
use super::{Flaw, Ground, Nodes};
use crate::render::markup::css::Shown;
use crate::render::markup::places::{breaks_line, is_for_machines};
use html5ever::tendril::StrTendril;
use html5ever::tree_builder::{ElemName, ElementFlags, NodeOrText, QuirksMode, TreeSink};
use html5ever::{Attribute, LocalName, Namespace, QualName};
use std::borrow::Cow;
use std::rc::Rc;

pub(in crate::render::markup) struct Named(Rc<QualName>);

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.local.fmt(f)
    }
}

impl ElemName for Named {
    fn ns(&self) -> &Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &LocalName {
        &self.0.local
    }
}

impl TreeSink for Nodes {
    type Handle = usize;
    type Output = Self;
    type ElemName<'a> = Named;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _msg: Cow<'static, str>) {}

    fn get_document(&self) -> usize {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a usize) -> Named {
        Named(self.name(*target).expect("only elements are asked for their names"))
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, _flags: ElementFlags) -> usize {
        self.bad(&name.local, "the name of a tag");
        self.attributes(&name, &attrs);
        let shown = self.sheets.shown(&name.local, &attrs);
        if breaks_line(&name) && !shown.in_line {
            self.break_text();
        }
        let is_template = &*name.local == "template";
        let is_for_machines = is_for_machines(&name, &attrs);
        let node = self.add(Some(name), shown);
        self.list.borrow_mut()[node].is_for_machines = is_for_machines;
        if is_template {
            let contents = self.add(None, Shown::default());
            self.put(node, contents);
            self.list.borrow_mut()[node].contents = contents;
        }
        node
    }

    fn create_comment(&self, text: StrTendril) -> usize {
        self.bad(&text, "a comment");
        if let Some(flaw) = comments::flaw(&text) {
            self.flaws.borrow_mut().push(Flaw::Comment(flaw));
        }
        self.add(None, Shown::default())
    }

    fn create_pi(&self, target: StrTendril, data: StrTendril) -> usize {
        self.bad(&target, "a comment");
        self.bad(&data, "a comment");
        self.add(None, Shown::default())
    }

    fn append(&self, parent: &usize, child: NodeOrText<usize>) {
        match child {
            NodeOrText::AppendNode(node) => self.put(*parent, node),
            NodeOrText::AppendText(text) => self.text(Ground::In(*parent), &text),
        }
    }

    fn append_based_on_parent_node(&self, element: &usize, prev_element: &usize, child: NodeOrText<usize>) {
        self.move_before_table(self.parent(*element).unwrap_or(*prev_element), child);
    }

    fn append_doctype_to_document(&self, name: StrTendril, public_id: StrTendril, system_id: StrTendril) {
        [name, public_id, system_id].iter().for_each(|text| self.bad(text, "the document type"));
    }

    fn get_template_contents(&self, target: &usize) -> usize {
        self.list.borrow()[*target].contents
    }

    fn same_node(&self, x: &usize, y: &usize) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _mode: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &usize, new_node: NodeOrText<usize>) {
        self.move_before_table(self.parent(*sibling).unwrap_or(0), new_node);
    }

    fn add_attrs_if_missing(&self, target: &usize, attrs: Vec<Attribute>) {
        if let Some(name) = self.name(*target) {
            self.attributes(&name, &attrs);
            self.list.borrow_mut()[*target].is_for_machines |= is_for_machines(&name, &attrs);
        }
    }

    fn remove_from_parent(&self, target: &usize) {
        self.list.borrow_mut()[*target].parent = None;
    }

    fn reparent_children(&self, node: &usize, new_parent: &usize) {
        let (mut list, mut slots) = (self.list.borrow_mut(), self.slots.borrow_mut());
        let slot = list[*node].children;
        slots[slot] = *new_parent;
        slots.push(*node);
        list[*node].children = slots.len() - 1;
    }
}
