//! What a person does with a page, and sees of it.

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use serde_json::Value;

use crate::driver::{Driver, Scripts};
use crate::support::{PASSWORD, SECRET, eventually};

/// A person's browser. Each page it comes to is searched for secrets.
pub(crate) struct Browser {
    /// Where the service is, with any path prefix.
    base: String,
    secrets: Vec<String>,
    pub(crate) driver: Driver,
}

impl Browser {
    pub(crate) async fn start(base: &str, scripts: Scripts) -> Self {
        Self {
            base: base.to_owned(),
            secrets: vec![SECRET.into(), PASSWORD.into()],
            driver: Driver::start(scripts).await,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.driver.client
    }

    /// From now on this may not be in any page.
    pub(crate) fn keep_secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Opens a page of the service, and signs in where it asks for that.
    pub(crate) async fn open(&self, path: &str) {
        let address = format!("{}{path}", self.base);
        self.goto(&address).await;
        if self
            .client()
            .current_url()
            .await
            .unwrap()
            .path()
            .ends_with("/sign-in")
            && path != "/sign-in"
        {
            self.fill("username", "admin").await;
            self.fill("password", PASSWORD).await;
            self.submit("Sign in").await;
            self.goto(&address).await;
        }
    }

    /// Opens any address.
    pub(crate) async fn goto(&self, address: &str) {
        self.client().goto(address).await.unwrap();
        self.search_for_secrets().await;
    }

    /// Types into a field, in place of what is there.
    pub(crate) async fn fill(&self, id: &str, value: &str) {
        let field = self.find(&format!("#{id}")).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Chooses from a list.
    pub(crate) async fn choose(&self, id: &str, value: &str) {
        let list = self.find(&format!("#{id}")).await;
        list.select_by_value(value).await.unwrap();
    }

    /// Presses a button, or follows a link, by what it says, and waits for the page that comes.
    pub(crate) async fn submit(&self, label: &str) {
        let page = self.find("html").await;
        self.labelled(label).await.click().await.unwrap();
        self.leave(page).await;
    }

    /// Presses a button that leads to no other page.
    pub(crate) async fn press(&self, label: &str) {
        self.labelled(label).await.click().await.unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn type_keys(&self, keys: &str) {
        let focused = self.client().active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// Presses “Save and test settings”, and waits until it says how the settings are, or what is
    /// wrong with the form.
    pub(crate) async fn save_and_test(&self) {
        const LABEL: &str = "Save and test settings";
        if !self.is_scripted().await {
            return self.submit(LABEL).await;
        }
        self.press(LABEL).await;
        let script = "return document.querySelector('form[data-test]').ariaBusy !== 'true'";
        eventually("the end of the test", || async {
            let told = self.client().execute(script, Vec::new()).await.ok()?;
            (told == Value::Bool(true)).then_some(())
        })
        .await;
        self.search_for_secrets().await;
    }

    /// Waits until the page that `element` belongs to is gone.
    pub(crate) async fn leave(&self, element: Element) {
        eventually("the next page", || async {
            element.tag_name().await.is_err().then_some(())
        })
        .await;
        self.search_for_secrets().await;
    }

    async fn labelled(&self, label: &str) -> Element {
        for kind in ["button", "a"] {
            let path = format!("//{kind}[starts-with(normalize-space(), \"{label}\")]");
            let found = self.client().find_all(Locator::XPath(&path)).await;
            for element in found.unwrap() {
                if element.is_displayed().await.unwrap() {
                    return element;
                }
            }
        }
        panic!(
            "nothing to press says “{label}”: {}",
            self.text("body").await
        );
    }

    pub(crate) async fn find(&self, css: &str) -> Element {
        self.client()
            .find(Locator::Css(css))
            .await
            .unwrap_or_else(|e| panic!("{css}: {e}"))
    }

    pub(crate) async fn count(&self, css: &str) -> usize {
        self.client()
            .find_all(Locator::Css(css))
            .await
            .unwrap()
            .len()
    }

    /// What a reader sees of an element.
    pub(crate) async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.unwrap()
    }

    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client().find_all(Locator::Css(css)).await.unwrap() {
            texts.push(one_line(&element.text().await.unwrap()));
        }
        texts
    }

    pub(crate) async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        self.find(css).await.attr(name).await.unwrap()
    }

    /// What is in a field now.
    pub(crate) async fn value(&self, id: &str) -> String {
        let field = self.find(&format!("#{id}")).await;
        field.prop("value").await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn assert_sees(&self, css: &str, words: &str) {
        let text = one_line(&self.text(css).await);
        assert!(text.contains(words), "“{words}” is not in {css}: {text}");
    }

    pub(crate) async fn assert_does_not_see(&self, css: &str, words: &str) {
        let text = one_line(&self.text(css).await);
        assert!(!text.contains(words), "“{words}” is in {css}: {text}");
    }

    /// Waits until a reader sees these words, without doing anything.
    pub(crate) async fn wait_for(&self, css: &str, words: &str) {
        eventually(&format!("“{words}” in {css}"), || async {
            // Between two pages there is nothing to find.
            let element = self.client().find(Locator::Css(css)).await.ok()?;
            one_line(&element.text().await.ok()?)
                .contains(words)
                .then_some(())
        })
        .await;
        self.search_for_secrets().await;
    }

    /// Waits until the page of a publish says that CloudFront has completed it.
    pub(crate) async fn wait_until_completed(&self) {
        let done = "CloudFront has confirmed that it is done.";
        self.wait_for("h1 + .lead", done).await;
    }

    /// Runs a function's body in the page.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client().execute(script, Vec::new()).await.unwrap()
    }

    /// How many windows hold the stream of events, and how many wait for it.
    pub(crate) async fn streams(&self) -> Value {
        let script = "const done = arguments[0];
            navigator.locks.query().then(({ held, pending }) => done([held.length, pending.length]))";
        let streams = self.client().execute_async(script, Vec::new()).await;
        streams.unwrap()
    }

    /// Leaves a mark that a reload would wipe off.
    pub(crate) async fn mark(&self) {
        self.run("window.marked = true").await;
    }

    pub(crate) async fn assert_was_not_reloaded(&self) {
        assert_eq!(self.run("return window.marked").await, Value::Bool(true));
    }

    /// The status that the page was answered with.
    pub(crate) async fn status(&self) -> u64 {
        let script = "return performance.getEntriesByType('navigation')[0].responseStatus";
        self.run(script).await.as_u64().unwrap()
    }

    /// Whether the page's own script ran.
    pub(crate) async fn is_scripted(&self) -> bool {
        self.count("body > [role=status].hidden").await == 1
    }

    async fn search_for_secrets(&self) {
        // A page that is just being replaced has no source; the next one is searched too.
        let Ok(source) = self.client().source().await else {
            return;
        };
        for secret in &self.secrets {
            if let Some((before, after)) = source.split_once(secret.as_str()) {
                let (before, after) = (before.lines().last(), after.lines().next());
                panic!("the secret {secret} is in the page: {before:?} … {after:?}");
            }
        }
    }
}

/// Where lines break is the layout's business.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
