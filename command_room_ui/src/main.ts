/** The entry of the page: styles, elements, language.  Owns: their order.  Must never know: what is shown. */

import "./styles.css";
import { startLanguage } from "./i18n";
import "./elements/app";

startLanguage();
